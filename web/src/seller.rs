//! 판매자: what is sold, what is paid by transfer, what is to be sent, and what comes back. What each form
//! does, the services decide.

mod deliveries;
mod deposits;
mod edit;
mod goods;
mod orders;
mod product;
mod products;
mod returns;

use axum::{Router, response::Response, routing::get};
use contracts::{
    delivery::v1::{ListDeliveriesRequest, delivery},
    order::v1::{ListReturnsRequest, r#return},
    payment::v1::{ListDepositsRequest, ListPaymentsRequest, deposit, payment},
};
use futures_util::join;
use identity::auth::Role;
use maud::{Markup, html};

use crate::{console, failure::Failure, lang::Text, layout::Page, paths, visit::Visit};

/// What waits is counted up to here.
const COUNTED: i32 = 50;

pub(crate) fn router() -> Router {
    Router::new()
        .route(paths::SELLER, get(show))
        .merge(deliveries::router())
        .merge(deposits::router())
        .merge(orders::router())
        .merge(product::router())
        .merge(products::router())
        .merge(returns::router())
}

/// Whoever sells: products are theirs alone. Others are told that the page is for others.
fn seller(visit: &Visit) -> Result<(), Failure> {
    console::must_be(visit, &[Role::Seller])
}

/// Whoever works at the shop: all but products is for admins too, as the services have it.
fn staff(visit: &Visit) -> Result<(), Failure> {
    console::must_be(visit, &[Role::Seller, Role::Admin])
}

fn tabs(visit: &Visit) -> Markup {
    let tabs: [(&str, Text); 6] = [
        (paths::SELLER, ("한눈에", "Overview")),
        (paths::SELLER_ORDERS, ("주문", "Orders")),
        (paths::SELLER_DEPOSITS, ("입금", "Deposits")),
        (paths::SELLER_DELIVERIES, ("배송", "Deliveries")),
        (paths::SELLER_RETURNS, ("반품", "Returns")),
        (paths::SELLER_PRODUCTS, ("상품", "Products")),
    ];
    let theirs = if visit.has(Role::Seller) { 6 } else { 5 };
    console::tabs(visit, ("판매자 메뉴", "Seller"), tabs.get(..theirs).unwrap_or_default())
}

/// What waits for somebody.
async fn show(visit: Visit) -> Result<Response, Failure> {
    staff(&visit)?;
    let (mut payments, mut deposits) = (visit.payments(), visit.deposits());
    let (mut deliveries, mut returns) = (visit.deliveries(), visit.returns());
    let page_size = COUNTED;
    let state = payment::State::WaitingForDeposit.into();
    let waiting = ListPaymentsRequest { state, page_size, ..<_>::default() };
    let state = deposit::State::Held.into();
    let held = ListDepositsRequest { state, page_size, ..<_>::default() };
    let state = delivery::State::Started.into();
    let started = ListDeliveriesRequest { state, page_size, ..<_>::default() };
    let state = r#return::State::Requested.into();
    let requested = ListReturnsRequest { state, page_size, ..<_>::default() };
    let (waiting, held, started, requested) = join!(
        payments.list_payments(visit.ask_briefly(waiting)),
        deposits.list_deposits(visit.ask_briefly(held)),
        deliveries.list_deliveries(visit.ask_briefly(started)),
        returns.list_returns(visit.ask_briefly(requested)),
    );
    let waiting = waiting.map(|it| it.into_inner().payments.len());
    let held = held.map(|it| it.into_inner().deposits.len());
    let started = started.map(|it| it.into_inner().deliveries.len());
    let requested = requested.map(|it| it.into_inner().returns.len());
    let tiles = [
        (("발송 대기", "To be dispatched"), started, paths::SELLER_DELIVERIES, "STARTED"),
        (("입금 대기", "Awaiting a deposit"), waiting, paths::SELLER_DEPOSITS, ""),
        (("보류 중인 입금", "Held deposits"), held, paths::SELLER_DEPOSITS, "HELD"),
        (("반품 신청", "Returns asked for"), requested, paths::SELLER_RETURNS, "REQUESTED"),
    ];
    let title = visit.t("판매자", "Seller");
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        div.tiles {
            @for (label, count, path, state) in tiles {
                a.card.tile href=(paths::with(path, &[("state", state)])) {
                    span.tile-name { (visit.text(label)) }
                    span.tile-value { (counted(&visit, count.ok())) }
                }
            }
        }
        @if visit.has(Role::Seller) {
            p { a.button.button-main href=(paths::SELLER_NEW_PRODUCT) {
                (visit.t("상품 등록", "Register a product"))
            } }
        }
    };
    Ok(Page::new(&visit, title).show(&main))
}

/// How many there are, unless the service is away.
fn counted(visit: &Visit, count: Option<usize>) -> String {
    match count {
        Some(count) if i32::try_from(count).is_ok_and(|count| count < COUNTED) => count.to_string(),
        Some(count) => format!("{count}+"),
        None => visit.t("확인할 수 없음", "not known now").to_owned(),
    }
}
