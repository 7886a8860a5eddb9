//! How an order came along: what order and My Page tell the viewer's own token, by
//! the same routes, and with the same refusals, as REST.

use base::{Error, error::Kind};
use bytes::Bytes;
use http::{Method, request::Parts};
use rpc::Failure;
use serde_json::Value;
use tonic::Status;
use uuid::Uuid;

use super::door::Viewer;
use transcoder::{Input, Miss};

use crate::{Gateway, answer, problem};

/// An order.
pub(super) struct History {
    /// As `GET /v1/orders/{id}` has it.
    pub(super) order: Value,
    /// As `GET /v1/mypage/{member}/orders/{id}` has it; or why there is none.
    pub(super) page: Result<Value, String>,
}

/// The history of the order with this id; or why it is not shown.
pub(super) async fn history(
    gateway: &Gateway,
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
    let said = |status: Status| problem::said(&status);
    let order = get(gateway, parts, &format!("/v1/orders/{id}")).await.map_err(said)?;
    let member = order["memberId"].as_str().and_then(|member| Uuid::try_parse(member).ok());
    let page = match member {
        Some(member) => {
            get(gateway, parts, &format!("/v1/mypage/{member}/orders/{id}")).await.map_err(said)
        }
        None => Err("the order has no member".to_owned()),
    };
    Ok(History { order, page })
}

/// What REST answers to a GET of this path.
async fn get(gateway: &Gateway, parts: &Parts, path: &str) -> Result<Value, Status> {
    let (route, path) = gateway.router.find(&Method::GET, path).map_err(|miss| match miss {
        Miss::NotFound | Miss::NotAllowed(_) => {
            Error::new(Kind::NotFound, "NO_SUCH_PATH", "the contracts have no such path")
        }
    })?;
    let policies = gateway.policies.borrow().clone();
    let (_place, deadline) = gateway.enter(&policies, route, parts)?;
    let input = Input { path: &path, query: "", body: b"", content_type: "" };
    let message = Bytes::from((route.request)(&input)?);
    let calling = policies.of(route).calling;
    let call = answer::call(route, &parts.headers, message, calling, deadline)?;
    let reply = gateway.peer(route)?.call(call).await.map_err(Failure::into_status)?;
    let body = (route.response)(&reply.message)?;
    let value = serde_json::from_slice(&body.bytes);
    value.map_err(|error| Error::internal(error.to_string()).into())
}
