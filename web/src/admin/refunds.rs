//! Refunds that the acquirer refuses, each with what can be done: have it asked again, or give the money back in
//! another way and say so here.

use axum::{Router, extract::Path, response::Response, routing::post};
use contracts::{
    order::v1::PaymentMethod,
    payment::v1::{ListRefundsRequest, Refund, RetryRefundRequest, SettleRefundRequest, refund},
};
use maud::{Markup, html};

use super::{admin, money};
use crate::{
    console::{self, PAGE, Tried},
    failure::Failure,
    form::{self, Field, Filled, Posted},
    paths, view,
    visit::Visit,
};

/// How a refund that was refused can be given back: value, Korean, English.
const WAYS: [(&str, &str, &str); 3] = [
    ("WALLET", "회원의 지갑에 넣기", "Put it into the member's wallet"),
    ("BANK_TRANSFER", "가게 계좌에서 직접 송금", "Send it from the shop's bank account"),
    ("CARD", "카드사가 전화로 처리해 줌", "The acquirer has done it, on somebody's word"),
];

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN_REFUND_RETRY, post(retry))
        .route(paths::ADMIN_REFUND_SETTLE, post(settle))
}

/// Those that failed, the newest first, and whether there are more.
pub(super) async fn failed(visit: &Visit) -> Result<(Vec<Refund>, bool), Failure> {
    let message = ListRefundsRequest {
        state: refund::State::Failed.into(),
        page_size: PAGE,
        ..ListRefundsRequest::default()
    };
    let found = visit.refunds().list_refunds(visit.ask(message)).await?.into_inner();
    Ok((found.refunds, !found.next_page_token.is_empty()))
}

async fn retry(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let asked = visit.command(form.key(), RetryRefundRequest { refund_id: id.clone() });
    let done = visit.refunds().retry_refund(asked).await.map_err(Failure::from);
    after(&visit, &id, done, form).await
}

async fn settle(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let tender = PaymentMethod::from_str_name(form.text("tender")).unwrap_or_default();
    let message = SettleRefundRequest {
        refund_id: id.clone(),
        tender: tender.into(),
        reason: form.text("reason").to_owned(),
    };
    let done = visit.refunds().settle_refund(visit.command(form.key(), message)).await;
    after(&visit, &id, done.map_err(Failure::from), form).await
}

async fn after<T>(
    visit: &Visit,
    id: &str,
    done: Result<T, Failure>,
    form: Posted,
) -> Result<Response, Failure> {
    match console::settled(visit, paths::ADMIN_MONEY, done) {
        Err(failure) if !failure.wants_sign_in() && !failure.is_not_found() => {
            money::page(visit, <_>::default(), &Tried::new(id, form.refused(failure))).await
        }
        done => done,
    }
}

/// The list.
pub(super) fn list(visit: &Visit, (refunds, more): &(Vec<Refund>, bool), tried: &Tried) -> Markup {
    if refunds.is_empty() {
        return html! { p.aside { (visit.t("없습니다.", "There are none.")) } };
    }
    html! {
        p.aside {
            (visit.t(
                "카드사가 거절한 환불입니다. 회원에게는 아직 ‘환불중’으로 보입니다. 카드가 해지되었는지 확인해 다시 \
                 시도하거나, 다른 방법으로 돌려주세요. 먼저 여기에 기록하고, 그다음에 송금하세요.",
                "The acquirer refuses these; to the member they are still on their way. Find out whether the \
                 card is closed, and have it tried again, or give the money back in another way: record that \
                 here first, then send it.",
            ))
        }
        ul.tiles.tiles-wide {
            @for refund in refunds { li.card { (one(visit, refund, &tried.of(&refund.id))) } }
        }
        @if *more {
            p.aside { (visit.t("더 오래된 것은 이들이 처리되면 보입니다.",
                "Older ones are shown once these are dealt with.")) }
        }
    }
}

fn one(visit: &Visit, refund: &Refund, filled: &Filled) -> Markup {
    let options = WAYS.map(|(value, ko, en)| (value.to_owned(), visit.t(ko, en).to_owned()));
    let facts = console::facts(vec![
        (visit.t("날짜", "When"), view::time(visit, refund.create_time.as_ref())),
        (visit.t("카드사의 답", "The acquirer says"), html! { (refund.failure) }),
        (visit.t("주문", "Order"), money::story(&refund.order_id)),
        (
            visit.t("충전", "Top-up"),
            html! {
                @if !refund.top_up_id.is_empty() { (console::id(&refund.top_up_id)) }
            },
        ),
        (
            visit.t("회원", "Member"),
            html! {
                @if !refund.member_id.is_empty() {
                    a href=(paths::to(paths::ADMIN_MEMBER, &refund.member_id)) { (console::id(&refund.member_id)) }
                }
            },
        ),
    ]);
    let fields = html! {
        (form::select(visit, filled, "tender", ("돌려주는 방법", "How"), &options))
        (Field::new("reason", ("이유", "Why")).required().longest(200)
            .id(&format!("reason-{}", refund.id)).show(visit, filled))
        button.button.button-main { (visit.t("직접 돌려줌", "Record it")) }
    };
    html! {
        p.price.price-large { (view::price(visit, view::won(refund.amount.as_ref()))) }
        (facts)
        (form::button(visit, &paths::to(paths::ADMIN_REFUND_RETRY, &refund.id), "button",
            visit.t("카드사에 다시 시도", "Try again"), &[]))
        (console::folded(visit, ("다른 방법으로 돌려주기", "Give it back in another way"),
            &paths::to(paths::ADMIN_REFUND_SETTLE, &refund.id), filled, &fields))
    }
}
