//! How an order came along: what order and My Page tell the viewer's own token,
//! with the same refusals as any client.

use std::convert::Infallible;

use contracts::{
    mypage::v1::{GetMyOrderRequest, OrderView, my_page_service_client::MyPageServiceClient},
    order::v1::{GetOrderRequest, Order, order_service_client::OrderServiceClient},
};
use http::{HeaderMap, request::Parts};
use tonic::{Request, Status, body::Body};
use tower::Service;
use uuid::Uuid;

use super::door::Viewer;

/// The gateway, as a client of gRPC sees it.
pub trait Api:
    Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Api for S where
    S: Service<
            http::Request<Body>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static
{
}

/// An order.
pub(super) struct History {
    pub(super) order: Order,
    /// As My Page has it; or why there is none.
    pub(super) page: Result<OrderView, String>,
}

/// The history of the order with this id; or why it is not shown.
pub(super) async fn history<A: Api>(
    api: &A,
    parts: &Parts,
    viewer: Viewer,
    id: &str,
) -> Result<History, String> {
    if viewer != Viewer::Admin {
        return Err("Orders are for admins: sign in first.".to_owned());
    }
    let Ok(id) = Uuid::try_parse(id) else {
        return Err("This is not the id of an order.".to_owned());
    };
    let order_id = id.to_string();
    let request = by(parts, GetOrderRequest { order_id: order_id.clone() });
    let order = OrderServiceClient::new(api.clone()).get_order(request).await;
    let order = order.map_err(said)?.into_inner();
    let request = by(parts, GetMyOrderRequest { member_id: order.member_id.clone(), order_id });
    let page = MyPageServiceClient::new(api.clone()).get_my_order(request).await;
    let page = page.map(tonic::Response::into_inner).map_err(said);
    Ok(History { order, page })
}

/// A call by whoever looks, from where they look.
fn by<T>(parts: &Parts, message: T) -> Request<T> {
    let sent = ["authorization", "forwarded", "x-forwarded-for", "traceparent", "x-request-id"];
    let headers = parts.headers.iter().filter(|(name, _)| sent.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.clone(), value.clone()));
    let metadata = tonic::metadata::MetadataMap::from_headers(headers.collect::<HeaderMap>());
    Request::from_parts(metadata, parts.extensions.clone(), message)
}

/// A refusal as people read it.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn said(status: Status) -> String {
    status.message().to_owned()
}
