//! A member's orders, the newest first, with their states as they happen.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::mypage::v1::{ListMyOrdersRequest, OrderView};
use maud::{Markup, html};
use serde::Deserialize;

use super::{live, nothing_yet, states, tabs};
use crate::{failure::Failure, layout::Page, paths, view, visit::Visit};

const PAGE: i32 = 20;

pub(super) fn router() -> Router {
    Router::new().route(paths::MY_ORDERS, get(show))
}

/// Where in a list.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) page: String,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    let message = ListMyOrdersRequest {
        member_id: visit.member_id()?,
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let title = visit.t("주문", "Orders");
    let content = match visit.my_page().list_my_orders(visit.ask(message)).await {
        Ok(found) => {
            let found = found.into_inner();
            let next = &found.next_page_token;
            html! {
                (list(&visit, &found.orders))
                (view::pages(&visit, paths::MY_ORDERS, &[], &asked.page, next))
            }
        }
        Err(status) => nothing_yet(&visit, status.into())?,
    };
    let main = html! { h1 { (title) } (tabs(&visit)) (live("orders", &content)) };
    Ok(Page::new(&visit, title).live().show(&main))
}

/// A list of orders.
pub(super) fn list(visit: &Visit, orders: &[OrderView]) -> Markup {
    html! {
        @if orders.is_empty() {
            (view::empty(
                visit.t("아직 주문이 없습니다", "No orders yet"),
                visit.t("주문하면 여기에서 배송까지 따라갈 수 있습니다.",
                    "Once you order, you can follow it here."),
                Some((paths::HOME, visit.t("상품 보기", "See what there is"))),
            ))
        } @else {
            ul.stack-tight { @for order in orders { li { (card(visit, order)) } } }
        }
    }
}

fn card(visit: &Visit, order: &OrderView) -> Markup {
    let (tone, text) = states::order(order.state());
    html! {
        article.card.order {
            div.row.row-apart {
                h3 { a.cut href=(paths::to(paths::MY_ORDER, &order.order_id)) { (name(visit, order)) } }
                (view::badge(tone, visit.text(text)))
            }
            div.row.row-apart.aside {
                span { (view::time(visit, order.history.first().and_then(|it| it.at.as_ref()))) }
                span.price { (view::price(visit, view::won(order.total.as_ref()))) }
            }
        }
    }
}

/// What an order is called: what is in it.
pub(super) fn name(visit: &Visit, order: &OrderView) -> String {
    let first = order.lines.first().map_or("", |line| line.display_name.as_str());
    match order.lines.len() {
        0 | 1 => first.to_owned(),
        all => visit.lang.pick(
            format!("{first} 외 {}건", all.saturating_sub(1)),
            format!("{first} and {} more", all.saturating_sub(1)),
        ),
    }
}
