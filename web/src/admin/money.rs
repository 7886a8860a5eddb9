//! Money that waits: deposits that are held, what is on its way out, and refunds that the acquirer refuses.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::payment::v1::{
    Deposit, ListDepositsRequest, ListPayoutsRequest, Payout, deposit, payout,
};
use futures_util::join;
use maud::{Markup, html};

use super::{admin, refunds, tabs};
use crate::{
    console::{self, Asked, PAGE, Tried, states},
    failure::Failure,
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

const PAYOUTS: [(&str, Text); 4] = [
    ("", ("전체", "All")),
    ("REQUESTED", ("처리 중", "Under way")),
    ("SENT", ("송금 완료", "Sent")),
    ("FAILED", ("실패", "Failed")),
];

pub(super) fn router() -> Router {
    Router::new().route(paths::ADMIN_MONEY, get(show))
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    page(&visit, asked, &Tried::default()).await
}

/// The page; `tried` is what was done with a refund.
pub(super) async fn page(visit: &Visit, asked: Asked, tried: &Tried) -> Result<Response, Failure> {
    let (mut one, mut two) = (visit.deposits(), visit.payments());
    let held = ListDepositsRequest {
        state: deposit::State::Held.into(),
        page_size: PAGE,
        ..ListDepositsRequest::default()
    };
    let payouts = ListPayoutsRequest {
        state: payout::State::from_str_name(&asked.state).unwrap_or_default().into(),
        page_size: PAGE,
        page_token: asked.page.clone(),
        ..ListPayoutsRequest::default()
    };
    let (held, payouts, failed) = join!(
        one.list_deposits(visit.ask(held)),
        two.list_payouts(visit.ask(payouts)),
        refunds::failed(visit),
    );
    let (held, payouts) = (held?.into_inner().deposits, payouts?.into_inner());
    // A payment that does not know refunds yet, while it is upgraded, takes nothing else with it.
    let failed = match failed {
        Err(failure) if failure.wants_sign_in() => return Err(failure),
        failed => failed,
    };
    let title = visit.t("입출금", "Money");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        section.stack {
            h2 { (visit.t("실패한 환불", "Refunds that failed")) }
            @if let Some(failure) = tried.failure() {
                p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
            }
            @match &failed {
                Ok(failed) => (refunds::list(visit, failed, tried)),
                Err(failure) => div #away data-live {
                    (view::away(visit, ("환불", "Refunds"), failure.wait()))
                },
            }
        }
        section.stack { h2 { (visit.t("보류 중인 입금", "Held deposits")) } (deposits(visit, &held)) }
        section.stack {
            h2 { (visit.t("출금", "Payouts")) }
            (console::filters(visit, paths::ADMIN_MONEY, &asked.state, &PAYOUTS))
            (out(visit, &payouts.payouts))
            (view::pages(visit, paths::ADMIN_MONEY, &[("state", &asked.state)], &asked.page,
                &payouts.next_page_token))
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

/// The way to an order's story.
pub(super) fn story(id: &str) -> Markup {
    html! {
        @if !id.is_empty() {
            a href=(paths::with(paths::ADMIN_STORY, &[("order", id)])) { (console::id(id)) }
        }
    }
}

fn listed(visit: &Visit, caption: Text, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        @if rows.is_empty() { p.aside { (visit.t("없습니다.", "There are none.")) } }
        @else { (view::table(visit.text(caption), columns, rows)) }
    }
}

fn deposits(visit: &Visit, held: &[Deposit]) -> Markup {
    let columns = [
        visit.t("날짜", "When"),
        visit.t("입금자", "Depositor"),
        visit.t("금액", "Held"),
        visit.t("이유", "Why"),
        visit.t("주문", "Order"),
    ];
    let row = |deposit: &Deposit| {
        vec![
            view::time(visit, deposit.receive_time.as_ref()),
            html! { a href=(paths::to(paths::SELLER_DEPOSIT, &deposit.id)) { (deposit.depositor_name) } },
            html! { span.number { (view::price(visit, view::won(deposit.held_amount.as_ref()))) } },
            html! { (visit.text(states::held(deposit.held_reason()))) },
            story(&deposit.order_id),
        ]
    };
    let rows: Vec<_> = held.iter().map(row).collect();
    listed(visit, ("보류 중인 입금", "Held deposits"), &columns, &rows)
}

fn out(visit: &Visit, payouts: &[Payout]) -> Markup {
    let columns = [
        visit.t("날짜", "When"),
        visit.t("누구에게", "To"),
        visit.t("금액", "Amount"),
        visit.t("상태", "State"),
        visit.t("주문", "Order"),
    ];
    let row = |payout: &Payout| {
        let (tone, text) = states::payout(payout.state());
        let account = payout.account.as_ref();
        vec![
            view::time(visit, payout.create_time.as_ref()),
            html! {
                @if let Some(account) = account {
                    (account.holder) " · " (account.bank_code) " " (account.account_number)
                }
            },
            html! { span.number { (view::price(visit, view::won(payout.amount.as_ref()))) } },
            html! {
                (view::badge(tone, visit.text(text)))
                @if !payout.failure.is_empty() { p.aside { (payout.failure) } }
            },
            story(&payout.order_id),
        ]
    };
    let rows: Vec<_> = payouts.iter().map(row).collect();
    listed(visit, ("출금", "Payouts"), &columns, &rows)
}
