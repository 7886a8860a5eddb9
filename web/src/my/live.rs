//! The member's watch of My Page, as a stream that a browser's `EventSource` can open: it says that
//! something has changed, and which state an order is in. The page's script then reads the page anew.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::Query,
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use contracts::mypage::v1::{OrderView, WatchMyPageRequest, WatchMyPageResponse};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use serde::Deserialize;

use super::{orders, states};
use crate::{failure::Failure, paths, visit::Visit};

/// So often an idle stream shows that it is still there.
const BEAT: Duration = Duration::from_secs(15);

pub(super) fn router() -> Router {
    Router::new().route(paths::LIVE, get(watch))
}

/// From where on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct After {
    after: String,
}

async fn watch(visit: Visit, Query(After { after }): Query<After>) -> Response {
    let Ok(member_id) = visit.member_id() else {
        // For an `EventSource` that is the end: it does not come again.
        return StatusCode::NO_CONTENT.into_response();
    };
    let message = WatchMyPageRequest { member_id, last_event_id: after };
    let opened = visit.my_page().watch_my_page(visit.watch(message)).await.map_err(Failure::from);
    let messages = match opened {
        Ok(messages) => messages.into_inner(),
        Err(failure) if failure.wants_sign_in() => return StatusCode::NO_CONTENT.into_response(),
        Err(failure) => return failure.status().into_response(),
    };
    // First, that it is open: nothing may change for a while.
    let open = stream::iter([Ok::<_, Infallible>(Event::default().comment("open"))]);
    let changes = messages
        .take_while(|message| std::future::ready(message.is_ok()))
        .filter_map(async |message| message.ok())
        .map(move |message| Ok(event(&visit, &message)));
    Sse::new(open.chain(changes)).keep_alive(KeepAlive::new().interval(BEAT)).into_response()
}

/// An order's says what it is now; the page's only that it has changed. A browser passes over events
/// without data.
fn event(visit: &Visit, message: &WatchMyPageResponse) -> Event {
    let event = Event::default().id(&message.event_id);
    match &message.order {
        // A line of its own would end the data.
        Some(order) => event.event("order").data(said(visit, order).replace(['\r', '\n'], " ")),
        None => event.event("page").data("page"),
    }
}

fn said(visit: &Visit, order: &OrderView) -> String {
    format!("{}: {}", orders::name(visit, order), visit.text(states::order(order.state()).1))
}
