//! One deposit; while it is held, whom it pays, or where it goes.

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use contracts::payment::v1::{
    CreditDepositRequest, Deposit, GetDepositRequest, ListPaymentsRequest, MatchDepositRequest,
    Payment, RefundDepositRequest, deposit, payment,
};
use maud::{Markup, html};

use super::{due, staff, tabs};
use crate::{
    console::{self, Tried, states},
    failure::Failure,
    form::{self, Field, Posted},
    layout::Page,
    paths, view,
    visit::Visit,
};

const MATCH: &str = "match";
const REFUND: &str = "refund";
const CREDIT: &str = "credit";
/// Payments to choose from: those that wait.
const MOST: i32 = 200;

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_DEPOSIT, get(show))
        .route(paths::SELLER_DEPOSIT_MATCH, post(pay))
        .route(paths::SELLER_DEPOSIT_REFUND, post(refund))
        .route(paths::SELLER_DEPOSIT_CREDIT, post(credit))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    staff(&visit)?;
    page(&visit, &id, &Tried::default()).await
}

async fn pay(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let payment_id = form.text("paymentId").to_owned();
    let asked =
        visit.command(form.key(), MatchDepositRequest { deposit_id: id.clone(), payment_id });
    let done = visit.deposits().match_deposit(asked).await.map_err(Failure::from);
    after(&visit, &id, done.map(drop), (MATCH, form)).await
}

async fn refund(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let account = console::account(&form);
    let asked = visit.command(form.key(), RefundDepositRequest { deposit_id: id.clone(), account });
    let done = visit.deposits().refund_deposit(asked).await.map_err(Failure::from);
    after(&visit, &id, done.map(drop), (REFUND, form)).await
}

async fn credit(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let member_id = form.text("memberId").to_owned();
    let asked =
        visit.command(form.key(), CreditDepositRequest { deposit_id: id.clone(), member_id });
    let done = visit.deposits().credit_deposit(asked).await.map_err(Failure::from);
    after(&visit, &id, done.map(drop), (CREDIT, form)).await
}

async fn after(
    visit: &Visit,
    id: &str,
    done: Result<(), Failure>,
    (name, form): (&str, Posted),
) -> Result<Response, Failure> {
    match console::settled(visit, &paths::to(paths::SELLER_DEPOSIT, id), done) {
        Err(failure) if !failure.wants_sign_in() => {
            page(visit, id, &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, id: &str, tried: &Tried) -> Result<Response, Failure> {
    let message = GetDepositRequest { deposit_id: id.to_owned() };
    let deposit = visit.deposits().get_deposit(visit.ask(message)).await?.into_inner();
    let is_held = deposit.state() == deposit::State::Held;
    let waiting = if is_held { waiting(visit).await? } else { Vec::new() };
    let title = visit.t("입금", "Deposit");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        section.card { (facts(visit, &deposit)) }
        @if is_held {
            div.columns.columns-two {
                section.card {
                    h2 { (visit.t("결제에 반영", "Have it pay a payment")) }
                    (match_form(visit, &deposit, &waiting, tried))
                }
                section.card {
                    h2 { (visit.t("지갑에 적립", "Put it into a wallet")) }
                    (credit_form(visit, &deposit, tried))
                }
                section.card {
                    h2 { (visit.t("환불", "Send it back")) }
                    (refund_form(visit, &deposit, tried))
                }
            }
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

async fn waiting(visit: &Visit) -> Result<Vec<Payment>, Failure> {
    let message = ListPaymentsRequest {
        state: payment::State::WaitingForDeposit.into(),
        page_size: MOST,
        ..ListPaymentsRequest::default()
    };
    Ok(visit.payments().list_payments(visit.ask(message)).await?.into_inner().payments)
}

fn facts(visit: &Visit, deposit: &Deposit) -> Markup {
    let (tone, text) = states::deposit(deposit.state());
    let won = |money| view::price(visit, view::won(money));
    console::facts(vec![
        (
            visit.t("상태", "State"),
            html! {
                (view::badge(tone, visit.text(text))) " " (visit.text(states::held(deposit.held_reason())))
            },
        ),
        (visit.t("입금자", "Depositor"), html! { (deposit.depositor_name) }),
        (visit.t("표시", "Reference"), html! { (deposit.reference) }),
        (visit.t("금액", "Amount"), html! { (won(deposit.amount.as_ref())) }),
        (
            visit.t("결제에 반영한 금액", "Matched"),
            html! { (won(deposit.matched_amount.as_ref())) },
        ),
        (visit.t("보류 금액", "Held"), html! { (won(deposit.held_amount.as_ref())) }),
        (visit.t("들어온 때", "Arrived"), view::time(visit, deposit.receive_time.as_ref())),
        (visit.t("은행 거래번호", "Bank's number"), console::id(&deposit.bank_transaction_id)),
        (
            visit.t("주문", "Order"),
            html! {
                @if !deposit.order_id.is_empty() {
                    a href=(paths::to(paths::SELLER_ORDER, &deposit.order_id)) { (console::id(&deposit.order_id)) }
                }
            },
        ),
    ])
}

fn match_form(visit: &Visit, deposit: &Deposit, waiting: &[Payment], tried: &Tried) -> Markup {
    let filled = tried.of(MATCH);
    if waiting.is_empty() && filled.failure().is_none() {
        return html! { p.aside { (visit.t("기다리는 결제가 없습니다.", "No payment waits.")) } };
    }
    let option = |payment: &Payment| {
        let amount = view::price(visit, due(payment));
        (payment.id.clone(), format!("{} · {amount}", payment.deposit_reference))
    };
    let options: Vec<_> = waiting.iter().map(option).collect();
    let fields = html! {
        (form::select(visit, &filled, "paymentId", ("기다리는 결제", "Payment that waits"), &options))
        button.button.button-main { (visit.t("반영", "Match")) }
    };
    form::post(visit, &paths::to(paths::SELLER_DEPOSIT_MATCH, &deposit.id), &filled, &fields)
}

fn credit_form(visit: &Visit, deposit: &Deposit, tried: &Tried) -> Markup {
    let filled = tried.of(CREDIT);
    let fields = html! {
        (Field::new("memberId", ("회원 번호", "Member's id")).longest(36)
            .hint(visit.t("비우면 결제한 회원", "empty: whose payment it is about"))
            .show(visit, &filled))
        button.button { (visit.t("적립", "Credit")) }
    };
    form::post(visit, &paths::to(paths::SELLER_DEPOSIT_CREDIT, &deposit.id), &filled, &fields)
}

fn refund_form(visit: &Visit, deposit: &Deposit, tried: &Tried) -> Markup {
    let filled = tried.of(REFUND);
    let fields = html! {
        (console::account_fields(visit, &filled, true))
        button.button.button-danger { (visit.t("환불", "Refund")) }
    };
    form::post(visit, &paths::to(paths::SELLER_DEPOSIT_REFUND, &deposit.id), &filled, &fields)
}
