//! What members want to give back: accepted once it is there, or rejected with a reason that they read.

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::{get, post},
};
use contracts::order::v1::{
    AcceptReturnRequest, ListReturnsRequest, RejectReturnRequest, Return, r#return::State,
};
use maud::{Markup, html};

use super::{goods::Goods, staff, tabs};
use crate::{
    console::{self, Asked, PAGE, Tried, states},
    failure::Failure,
    form::{self, Field, Posted},
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

const STATES: [(&str, Text); 4] = [
    ("", ("전체", "All")),
    ("REQUESTED", ("반품신청", "Requested")),
    ("ACCEPTED", ("반품완료", "Accepted")),
    ("REJECTED", ("반품거절", "Rejected")),
];

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_RETURNS, get(show))
        .route(paths::SELLER_ACCEPT, post(accept))
        .route(paths::SELLER_REJECT, post(reject))
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    staff(&visit)?;
    page(&visit, &asked, &Tried::default()).await
}

async fn accept(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let refund_account = console::account(&form);
    let message = AcceptReturnRequest { return_id: id.clone(), refund_account };
    let asked = visit.command(form.key(), message);
    let done = visit.returns().accept_return(asked).await.map_err(Failure::from);
    after(&visit, done.map(drop), format!("accept-{id}"), form).await
}

async fn reject(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let message =
        RejectReturnRequest { return_id: id.clone(), reason: form.text("reason").to_owned() };
    let asked = visit.command(form.key(), message);
    let done = visit.returns().reject_return(asked).await.map_err(Failure::from);
    after(&visit, done.map(drop), format!("reject-{id}"), form).await
}

async fn after(
    visit: &Visit,
    done: Result<(), Failure>,
    name: String,
    form: Posted,
) -> Result<Response, Failure> {
    let path = paths::with(paths::SELLER_RETURNS, &[("state", "REQUESTED")]);
    match console::settled(visit, &path, done) {
        Err(failure) if !failure.wants_sign_in() => {
            let asked = Asked { state: "REQUESTED".to_owned(), ..Asked::default() };
            page(visit, &asked, &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, asked: &Asked, tried: &Tried) -> Result<Response, Failure> {
    let message = ListReturnsRequest {
        state: State::from_str_name(&asked.state).unwrap_or_default().into(),
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let found = visit.returns().list_returns(visit.ask(message)).await?.into_inner();
    let goods = Goods::of(visit, found.returns.iter().map(|it| &*it.order_id)).await;
    let title = visit.t("반품", "Returns");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        (console::filters(visit, paths::SELLER_RETURNS, &asked.state, &STATES))
        @if found.returns.is_empty() {
            (view::empty(visit.t("반품이 없습니다", "No returns"),
                visit.t("회원이 신청하면 여기에 나옵니다.", "What members ask for comes here."), None))
        }
        ul.stack-tight { @for it in &found.returns { li { (card(visit, it, &goods, tried)) } } }
        (view::pages(visit, paths::SELLER_RETURNS, &[("state", &asked.state)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn card(visit: &Visit, it: &Return, goods: &Goods, tried: &Tried) -> Markup {
    let (tone, text) = states::returned(it.state());
    html! {
        article.card {
            div.row.row-apart {
                (goods.head(visit, &it.order_id))
                (view::badge(tone, visit.text(text)))
            }
            p.prose { (it.reason) }
            ul { @for line in &it.lines {
                li {
                    a href=(paths::to(paths::PRODUCT, &line.product_id)) { (goods.name(&it.order_id, &line.product_id)) }
                    " × " (view::grouped(line.quantity.into()))
                }
            } }
            (console::facts(vec![
                (visit.t("신청한 때", "Asked for"), view::time(visit, it.create_time.as_ref())),
                (visit.t("환불 금액", "Refunded"), html! {
                    @if let Some(money) = &it.refunded { (view::price(visit, view::won(Some(money)))) }
                }),
                (visit.t("거절 이유", "Rejected because"), html! { (it.reject_reason) }),
            ]))
            @if it.state() == State::Requested { (decide(visit, it, tried)) }
        }
    }
}

fn decide(visit: &Visit, it: &Return, tried: &Tried) -> Markup {
    let (accept, reject) =
        (tried.of(&format!("accept-{}", it.id)), tried.of(&format!("reject-{}", it.id)));
    let id = format!("r-{}", it.id);
    let rejection = html! {
        (Field::new("reason", ("회원이 읽을 이유", "Why, as the member reads it")).id(&id).required()
            .longest(200).show(visit, &reject))
        button.button.button-danger { (visit.t("거절", "Reject")) }
    };
    let acceptance = html! {
        button.button.button-main { (visit.t("반품 받음", "The goods are back")) }
        p.hint { (visit.t("계좌이체로 낸 금액은 회원의 지갑으로 갑니다.",
            "What was paid by transfer goes to the member's wallet.")) }
    };
    html! {
        (form::post(visit, &paths::to(paths::SELLER_ACCEPT, &it.id), &accept, &acceptance))
        (console::folded(visit, ("거절하기", "Reject it"), &paths::to(paths::SELLER_REJECT, &it.id),
            &reject, &rejection))
    }
}
