//! Transfers: payments that wait for one, what has arrived, and what is held until somebody says whose it
//! is.

mod held;

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::{get, post},
};
use contracts::payment::v1::{
    ConfirmDepositRequest, Deposit, ListDepositsRequest, ListPaymentsRequest, Payment,
    RecordDepositRequest, deposit, payment,
};
use futures_util::join;
use maud::{Markup, html};

use super::{staff, tabs};
use crate::{
    console::{self, Asked, PAGE, Tried, states},
    failure::Failure,
    form::{Field, Posted},
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

/// The form of what has arrived.
const RECORD: &str = "record";
const STATES: [(&str, Text); 5] = [
    ("", ("전체", "All")),
    ("HELD", ("보류", "Held")),
    ("MATCHED", ("결제에 반영", "Matched")),
    ("REFUNDED", ("환불완료", "Refunded")),
    ("CREDITED", ("지갑에 적립", "Credited")),
];

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_DEPOSITS, get(show).post(record))
        .route(paths::SELLER_CONFIRM, post(confirm))
        .merge(held::router())
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    staff(&visit)?;
    page(&visit, &asked, &Tried::default()).await
}

async fn record(visit: Visit, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let done = async {
        let message = RecordDepositRequest {
            bank_transaction_id: form.text("bankTransactionId").to_owned(),
            amount: view::money(form.number("amount")?),
            depositor_name: form.text("depositorName").to_owned(),
            reference: form.text("reference").to_owned(),
            receive_time: None,
        };
        visit.deposits().record_deposit(visit.command(form.key(), message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, done, (RECORD, form)).await
}

async fn confirm(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let done = async {
        let message = ConfirmDepositRequest {
            payment_id: id.clone(),
            amount: view::money(form.number("amount")?),
            depositor_name: form.text("depositorName").to_owned(),
        };
        visit.payments().confirm_deposit(visit.command(form.key(), message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, done, (&id, form)).await
}

async fn after(
    visit: &Visit,
    done: Result<(), Failure>,
    (name, form): (&str, Posted),
) -> Result<Response, Failure> {
    match console::settled(visit, paths::SELLER_DEPOSITS, done) {
        Err(failure) if !failure.wants_sign_in() => {
            page(visit, &Asked::default(), &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, asked: &Asked, tried: &Tried) -> Result<Response, Failure> {
    let (mut payments, mut deposits) = (visit.payments(), visit.deposits());
    let waiting = ListPaymentsRequest {
        state: payment::State::WaitingForDeposit.into(),
        page_size: PAGE,
        ..ListPaymentsRequest::default()
    };
    let arrived = ListDepositsRequest {
        state: deposit::State::from_str_name(&asked.state).unwrap_or_default().into(),
        page_size: PAGE,
        page_token: asked.page.clone(),
        ..ListDepositsRequest::default()
    };
    let (waiting, arrived) = join!(
        payments.list_payments(visit.ask(waiting)),
        deposits.list_deposits(visit.ask(arrived)),
    );
    let (waiting, arrived) = (waiting?.into_inner().payments, arrived?.into_inner());
    let title = visit.t("입금", "Deposits");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        section.card { (record_form(visit, tried)) }
        section.stack {
            h2 { (visit.t("입금 대기", "Awaiting a deposit")) }
            @if waiting.is_empty() { p.aside { (visit.t("기다리는 결제가 없습니다.", "No payment waits.")) } }
            ul.stack-tight { @for payment in &waiting { li { (waits(visit, payment, tried)) } } }
        }
        section.stack {
            h2 { (visit.t("들어온 입금", "What has arrived")) }
            (console::filters(visit, paths::SELLER_DEPOSITS, &asked.state, &STATES))
            (list(visit, &arrived.deposits))
            (view::pages(visit, paths::SELLER_DEPOSITS, &[("state", &asked.state)], &asked.page,
                &arrived.next_page_token))
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn record_form(visit: &Visit, tried: &Tried) -> Markup {
    let filled = tried.of(RECORD);
    let fields = html! {
        div.fields.fields-two {
            (Field::new("bankTransactionId", ("은행 거래번호", "Bank's transaction number")).required()
                .longest(100).show(visit, &filled))
            (Field::new("amount", ("금액", "Amount")).number(1, 1_000_000_000_000).required()
                .show(visit, &filled))
            (Field::new("depositorName", ("입금자명", "Depositor")).required().longest(100)
                .show(visit, &filled))
            (Field::new("reference", ("입금 표시", "Reference")).longest(100)
                .hint(visit.t("예금주가 적은 주문 표시", "what the depositor wrote"))
                .show(visit, &filled))
        }
        button.button.button-main { (visit.t("기록", "Record")) }
    };
    console::folded(
        visit,
        ("입금 기록하기", "Record a deposit"),
        paths::SELLER_DEPOSITS,
        &filled,
        &fields,
    )
}

fn waits(visit: &Visit, payment: &Payment, tried: &Tried) -> Markup {
    let filled = tried.of(&payment.id);
    let amount = due(payment);
    let (one, two) = (format!("a-{}", payment.id), format!("n-{}", payment.id));
    let fields = html! {
        div.fields.fields-two {
            (Field::new("amount", ("들어온 금액", "What arrived")).id(&one).required()
                .number(1, 1_000_000_000_000).value(amount).show(visit, &filled))
            (Field::new("depositorName", ("입금자명", "Depositor")).id(&two).required().longest(100)
                .show(visit, &filled))
        }
        button.button { (visit.t("입금 확인", "Confirm")) }
    };
    let action = paths::to(paths::SELLER_CONFIRM, &payment.id);
    html! {
        article.card {
            div.row.row-apart {
                h3 { a href=(paths::to(paths::SELLER_ORDER, &payment.order_id)) {
                    (console::id(&payment.deposit_reference))
                } }
                span.price { (view::price(visit, amount)) }
            }
            p.aside { (visit.t("기한", "due")) " " (view::time(visit, payment.deposit_due_time.as_ref())) }
            (console::folded(visit, ("손으로 확인", "Confirm by hand"), &action, &filled, &fields))
        }
    }
}

/// What the transfer has to bring: what is not the wallet's.
fn due(payment: &Payment) -> i64 {
    let parts = payment.parts.iter().filter(|part| part.method == payment.method);
    let due: Vec<i64> = parts.map(|part| view::won(part.amount.as_ref())).collect();
    if due.is_empty() { view::won(payment.amount.as_ref()) } else { due.iter().sum() }
}

fn list(visit: &Visit, deposits: &[Deposit]) -> Markup {
    let title = visit.t("들어온 입금", "What has arrived");
    let columns = [
        visit.t("날짜", "When"),
        visit.t("입금자", "Depositor"),
        visit.t("표시", "Reference"),
        visit.t("금액", "Amount"),
        visit.t("상태", "State"),
    ];
    let row = |deposit: &Deposit| {
        let (tone, text) = states::deposit(deposit.state());
        vec![
            view::time(visit, deposit.receive_time.as_ref()),
            html! { a href=(paths::to(paths::SELLER_DEPOSIT, &deposit.id)) { (deposit.depositor_name) } },
            html! { (deposit.reference) },
            html! { span.number { (view::price(visit, view::won(deposit.amount.as_ref()))) } },
            html! { (view::badge(tone, visit.text(text))) " " (visit.text(states::held(deposit.held_reason()))) },
        ]
    };
    let rows: Vec<_> = deposits.iter().map(row).collect();
    html! {
        @if rows.is_empty() {
            p.aside { (visit.t("입금이 없습니다.", "There are none.")) }
        } @else { (view::table(title, &columns, &rows)) }
    }
}
