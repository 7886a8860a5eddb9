//! Where an order goes, how its member is kept from cancelling what is gone, and how it closes by itself.
//! The test plays member and delivery.

use std::{
    sync::{LazyLock, Mutex},
    time::Duration,
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    delivery::v1::{
        DeclareAddressRequest, DeclareAddressResponse, DeliveryDelivered, DeliveryDispatched,
        DeliveryEvent, delivery_event, delivery_service_server::DeliveryService,
    },
    member::v1::{Address, GetAddressRequest, address_service_server::AddressService},
    mypage::v1::{ShowAddressRequest, ShowAddressResponse, my_page_service_server::MyPageService},
    order::v1::{
        GetOrderRequest, Order, PaymentMethod, PlaceOrderRequest, RecordDispatchRequest,
        order::{CloseReason, State},
        place_order_request::Line,
    },
};
use prost::Message as _;
use testkit::{eventually, stage::As};
use tonic::{Request, Response, Status};

use super::{Answer, HELD, Shop};

/// Not where anybody lives.
const NOWHERE: &str = "00000000-0000-7000-8000-000000000000";
/// Whoever asks for this one is not answered.
const LOST: &str = "00000000-0000-7000-8000-000000000001";

/// What delivery was told: order and recipient.
static DECLARED: LazyLock<Mutex<Vec<(String, String)>>> = LazyLock::new(Mutex::default);

/// Orders of which My Page was told.
static SHOWN: LazyLock<Mutex<Vec<String>>> = LazyLock::new(Mutex::default);

pub(crate) struct Addresses;

#[tonic::async_trait]
impl AddressService for Addresses {
    async fn get_address(
        &self,
        request: Request<GetAddressRequest>,
    ) -> Result<Response<Address>, Status> {
        match &*request.get_ref().address_id {
            NOWHERE => Err(base::error::not_found().into()),
            LOST => std::future::pending().await,
            id => Ok(Response::new(Address {
                id: id.into(),
                recipient: format!("Kim at {id}"),
                ..Address::default()
            })),
        }
    }
}

pub(crate) struct Deliveries;

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn declare_address(
        &self,
        request: Request<DeclareAddressRequest>,
    ) -> Result<Response<DeclareAddressResponse>, Status> {
        let message = request.into_inner();
        let recipient = message.address.map(|address| address.recipient).unwrap_or_default();
        DECLARED.lock().expect("no panic").push((message.order_id, recipient));
        Ok(Response::new(DeclareAddressResponse {}))
    }
}

pub(crate) struct Pages;

#[tonic::async_trait]
impl MyPageService for Pages {
    async fn show_address(
        &self,
        request: Request<ShowAddressRequest>,
    ) -> Result<Response<ShowAddressResponse>, Status> {
        SHOWN.lock().expect("no panic").push(request.into_inner().order_id);
        Ok(Response::new(ShowAddressResponse {}))
    }
}

/// What delivery was told of an order.
fn declared(order: &str) -> Option<String> {
    let declared = DECLARED.lock().expect("no panic");
    declared.iter().find(|(of, _)| of == order).map(|(_, recipient)| recipient.clone())
}

impl Shop {
    fn to(&self, method: PaymentMethod, address: &str) -> PlaceOrderRequest {
        PlaceOrderRequest {
            payment_method: method.into(),
            card_token: "tok_visa".into(),
            lines: vec![Line { product_id: self.product.to_string(), quantity: 1 }],
            address_id: address.into(),
            ..PlaceOrderRequest::default()
        }
    }

    async fn orders(&self) -> i64 {
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let sql = "select count(*) from orders";
        reader.query_one(sql, &[]).await.expect("counts").get(0)
    }

    /// Somebody of delivery is about to give the goods to a carrier.
    pub(crate) async fn record_dispatch(&self, order: &Order) -> Result<(), Error> {
        let message = RecordDispatchRequest {
            order_id: order.id.clone(),
            member_id: order.member_id.clone(),
        };
        let request = self.stage.call(As::ServiceFor("delivery", self.member), message);
        self.orders.clone().record_dispatch(request).await.map(drop).map_err(Error::from)
    }

    /// Delivery says that the goods are on their way, and that they have arrived.
    pub(crate) async fn arrives(&self, order: &Order) {
        let id: Uuid = order.id.parse().expect("an id");
        let (delivery_id, order_id) = (base::id::new().to_string(), order.id.clone());
        let member_id = order.member_id.clone();
        let dispatched = delivery_event::Event::DeliveryDispatched(DeliveryDispatched {
            delivery_id: delivery_id.clone(),
            order_id: order_id.clone(),
            member_id: member_id.clone(),
            ..DeliveryDispatched::default()
        });
        let delivered = delivery_event::Event::DeliveryDelivered(DeliveryDelivered {
            delivery_id,
            order_id,
            member_id,
            deliver_time: None,
        });
        for (kind, event) in [("DeliveryDispatched", dispatched), ("DeliveryDelivered", delivered)]
        {
            let payload = DeliveryEvent { frame: None, event: Some(event) }.encode_to_vec();
            self.publish("delivery", kind, id, payload).await;
        }
    }

    pub(crate) async fn on_its_way(&self, script: &[Answer]) -> Order {
        let order = self.place(script).await;
        self.deliver(&order).await;
        self.eventually(&order, State::Delivering).await;
        order
    }

    pub(crate) async fn days_pass(&self, days: u64) {
        let by = Duration::from_hours(days * 24);
        pg::clock::advance(&self.stage.database("order"), by).await.expect("advances");
    }

    pub(crate) async fn seen(&self, order: &Order) -> Order {
        let request = GetOrderRequest { order_id: order.id.clone() };
        let request = self.stage.call(As::Member(self.member), request);
        self.orders.clone().get_order(request).await.expect("is there").into_inner()
    }
}

#[tokio::test]
async fn delivery_is_told_where_an_order_goes_however_it_is_paid() {
    let shop = Shop::open().await;
    for method in [PaymentMethod::Wallet, PaymentMethod::Card] {
        let address = base::id::new().to_string();
        let order = shop.try_place(shop.to(method, &address)).await.expect("placed");
        let told = || async { declared(&order.id) };
        let recipient = eventually("delivery told", told).await;
        assert_eq!(recipient, format!("Kim at {address}"));
        let shown = || async { SHOWN.lock().expect("no panic").contains(&order.id).then_some(()) };
        eventually("My Page told", shown).await;
    }
    let order = shop.try_place(shop.to(PaymentMethod::Wallet, "")).await.expect("placed");
    let no_task = || async {
        let mut reader = shop.stage.database("order").read().await.ok()?;
        let row = reader.query_one("select count(*) from task", &[]).await.ok()?;
        (row.get::<_, i64>(0) == 0).then_some(())
    };
    eventually("nothing left to be told", no_task).await;
    assert_eq!(declared(&order.id), None);
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_to_an_address_that_is_not_the_members_is_not_placed() {
    let shop = Shop::open().await;
    for method in [PaymentMethod::Wallet, PaymentMethod::Card] {
        for (address, kind, reason) in [
            ("nonsense", Kind::Invalid, "INVALID_FIELD"),
            (NOWHERE, Kind::Invalid, "INVALID_FIELD"),
            (LOST, Kind::Unavailable, "MEMBER_UNAVAILABLE"),
        ] {
            let refused = shop.try_place(shop.to(method, address)).await.expect_err("refused");
            let refused = Error::from(refused);
            assert_eq!((refused.kind(), refused.reason()), (kind, reason), "{address}");
            let here = refused.to_string().contains("addressId");
            assert_eq!(here, kind == Kind::Invalid, "{refused}");
        }
    }
    assert_eq!(shop.orders().await, 0);
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_dispatched_the_member_cannot_cancel() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.record_dispatch(&order).await.expect("agrees");
    shop.record_dispatch(&order).await.expect("again");
    assert_eq!(shop.cancel(&order).await.expect_err("too late").reason(), "ORDER_DISPATCHED");
    assert_eq!(shop.state(&order).await, State::Delivering);
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    assert_eq!(shop.cancel(&order).await.expect_err("too late").reason(), "ORDER_DISPATCHED");

    let cancelled = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.cancel(&cancelled).await.expect("cancels");
    let refused = shop.record_dispatch(&cancelled).await.expect_err("too late");
    assert_eq!(refused.reason(), "ORDER_CANCELLED");
    shop.stage.close().await;
}

#[tokio::test]
async fn while_an_order_is_being_cancelled_it_is_not_dispatched() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Held]).await;
    let (ended, ()) = tokio::join!(shop.cancel(&order), async {
        shop.eventually(&order, State::Cancelling).await;
        let refused = shop.record_dispatch(&order).await.expect_err("is being cancelled");
        assert_eq!(refused.reason(), "ORDER_CANCELLING");
        HELD.notify_waiters();
    });
    // Held for longer than it waits it would go on by itself.
    assert!(matches!(ended, Ok(State::Cancelled)) || ended.is_err());
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_was_delivered_closes_by_itself_after_seven_days() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.days_pass(20).await;
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    // Longer after the start than it would have waited for a word.
    shop.days_pass(6).await;
    let other = shop.on_its_way(&[Answer::Cancelled]).await;
    assert_eq!(shop.state(&order).await, State::Delivered);
    shop.days_pass(1).await;
    shop.eventually(&order, State::Closed).await;
    assert_eq!(shop.seen(&order).await.close_reason(), CloseReason::DaysAfterDelivery);
    assert_eq!(shop.state(&other).await, State::Delivering);
    shop.days_pass(20).await;
    shop.eventually(&other, State::Closed).await;
    assert_eq!(shop.seen(&other).await.close_reason(), CloseReason::DaysAfterStart);
    shop.stage.close().await;
}

#[tokio::test]
async fn of_an_order_that_its_member_has_closed_nothing_is_due() {
    let shop = Shop::open().await;
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    let request = contracts::order::v1::ConfirmReceiptRequest { order_id: order.id.clone() };
    let request = shop.stage.call(As::Member(shop.member), request);
    let closed = shop.orders.clone().confirm_receipt(request).await.expect("closes").into_inner();
    assert_eq!(closed.close_reason(), CloseReason::MemberConfirmed);
    let mut reader = shop.stage.database("order").read().await.expect("reads");
    let tasks = reader.query_one("select count(*) from task", &[]).await.expect("counts");
    assert_eq!(tasks.get::<_, i64>(0), 0);
    let history = reader.query("select type from event order by id", &[]).await.expect("reads");
    let history: Vec<&str> = history.iter().map(|row| row.get(0)).collect();
    let last = ["OrderDelivering", "OrderDelivered", "OrderClosed"];
    assert!(history.ends_with(&last), "{history:?}");
    shop.stage.close().await;
}
