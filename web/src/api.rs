//! The services, as a page calls them: through the gateway, as whoever visits, with a deadline.

use std::{convert::Infallible, time::Duration};

use contracts::{
    coupon::v1::coupon_service_client::CouponServiceClient,
    delivery::v1::delivery_service_client::DeliveryServiceClient,
    member::v1::{
        address_service_client::AddressServiceClient, member_service_client::MemberServiceClient,
    },
    mileage::v1::mileage_service_client::MileageServiceClient,
    mypage::v1::{
        audit_service_client::AuditServiceClient, my_page_service_client::MyPageServiceClient,
        timeline_service_client::TimelineServiceClient,
    },
    notification::v1::notification_service_client::NotificationServiceClient,
    order::v1::{
        order_service_client::OrderServiceClient, return_service_client::ReturnServiceClient,
    },
    payment::v1::{
        deposit_service_client::DepositServiceClient, payment_service_client::PaymentServiceClient,
        refund_service_client::RefundServiceClient,
    },
    product::v1::product_service_client::ProductServiceClient,
};
use http::HeaderMap;
use tonic::{Request, body::Body, metadata::MetadataMap};
use tower::util::BoxCloneSyncService;

use crate::visit::Visit;

/// The gateway, as a client of gRPC sees it.
pub type Api = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>;

/// How long a page waits for a service.
const WITHIN: Duration = Duration::from_secs(5);
/// How long it waits for what it can do without.
const BRIEFLY: Duration = Duration::from_millis(1_500);
/// What of the browser's request goes on: the gateway's rates are by address.
const SENT_ON: [&str; 4] = ["forwarded", "x-forwarded-for", "traceparent", "x-request-id"];

/// `visit.products()` is a client of the service, and so on.
macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => {
        impl Visit {
            $(
                /// The service's client.
                pub(crate) fn $name(&self) -> $client<Api> {
                    $client::new(self.api.clone())
                }
            )*
        }
    };
}

clients! {
    addresses: AddressServiceClient,
    audit: AuditServiceClient,
    coupons: CouponServiceClient,
    deliveries: DeliveryServiceClient,
    deposits: DepositServiceClient,
    members: MemberServiceClient,
    mileage: MileageServiceClient,
    my_page: MyPageServiceClient,
    notifications: NotificationServiceClient,
    orders: OrderServiceClient,
    payments: PaymentServiceClient,
    products: ProductServiceClient,
    refunds: RefundServiceClient,
    returns: ReturnServiceClient,
    timelines: TimelineServiceClient,
}

impl Visit {
    /// A call by whoever visits, from where they visit.
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        let mut request = self.watch(message);
        request.set_timeout(WITHIN);
        request
    }

    /// The same, for what the page can do without.
    pub(crate) fn ask_briefly<T>(&self, message: T) -> Request<T> {
        let mut request = self.watch(message);
        request.set_timeout(BRIEFLY);
        request
    }

    /// A command under the key of the form that it comes from: sent twice, it is done once.
    pub(crate) fn command<T>(&self, key: &str, message: T) -> Request<T> {
        let mut request = self.ask(message);
        if let Ok(key) = key.parse() {
            request.metadata_mut().insert(rpc::IDEMPOTENCY_KEY, key);
        }
        request
    }

    /// A command that changes what has this etag, and nothing newer.
    pub(crate) fn edit<T>(&self, key: &str, etag: &str, message: T) -> Request<T> {
        let mut request = self.command(key, message);
        if let Some(etag) = format!("\"{etag}\"").parse().ok().filter(|_| !etag.is_empty()) {
            request.metadata_mut().insert("if-match", etag);
        }
        request
    }

    /// A call without a deadline: a stream.
    pub(crate) fn watch<T>(&self, message: T) -> Request<T> {
        let headers = self.headers.iter().filter(|(name, _)| SENT_ON.contains(&name.as_str()));
        let headers = headers.map(|(name, value)| (name.clone(), value.clone()));
        let mut metadata = MetadataMap::from_headers(headers.collect::<HeaderMap>());
        let token = self.member.as_ref().map(|member| format!("Bearer {}", member.token).parse());
        if let Some(Ok(token)) = token {
            metadata.insert("authorization", token);
        }
        let mut request = Request::from_parts(metadata, tonic::Extensions::new(), message);
        // Where the connection comes from.
        if let Some(from) = self.from {
            request.extensions_mut().insert(from);
        }
        request
    }
}
