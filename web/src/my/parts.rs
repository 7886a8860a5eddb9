//! Parts of an order that are taken back: pieces that are cancelled before they go out, and returns of what
//! has arrived. Which of the two there is, My Page says.

use axum::{Router, extract::Path, response::Response, routing::post};
use contracts::{
    mypage::v1::{OrderView, order_view::Action},
    order::v1::{CancelLinesRequest, OrderLine, Pieces, RequestReturnRequest, Return},
};
use maud::{Markup, html};

use super::{
    away::{Away, NOT_NOW},
    order::{self, ORDER},
    states,
};
use crate::{
    failure::Failure,
    form::{self, Field, Filled, Posted},
    layout::Notice,
    paths, view,
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::MY_ORDER_CANCEL_LINES, post(cancel_lines))
        .route(paths::MY_ORDER_RETURN, post(request_return))
}

async fn cancel_lines(
    visit: Visit,
    Path(id): Path<String>,
    form: Posted,
) -> Result<Response, Failure> {
    let done = async {
        let message = CancelLinesRequest {
            order_id: id.clone(),
            lines: pieces(&form)?,
            ..CancelLinesRequest::default()
        };
        visit.orders().cancel_lines(visit.command(form.key(), message)).await?;
        Ok(Notice::LinesCancelled)
    };
    let done = done.await;
    order::after(&visit, &id, done, form).await
}

async fn request_return(
    visit: Visit,
    Path(id): Path<String>,
    form: Posted,
) -> Result<Response, Failure> {
    let done = async {
        let message = RequestReturnRequest {
            order_id: id.clone(),
            lines: pieces(&form)?,
            reason: form.text("reason").to_owned(),
        };
        visit.returns().request_return(visit.command(form.key(), message)).await?;
        Ok(Notice::ReturnAsked)
    };
    let done = done.await;
    order::after(&visit, &id, done, form).await
}

/// How many of each product the form has.
fn pieces(form: &Posted) -> Result<Vec<Pieces>, Failure> {
    let mut lines = Vec::new();
    for product_id in form.all("product") {
        let number = form.number(&format!("pieces-{product_id}"))?;
        let quantity = i32::try_from(number).unwrap_or(-1);
        if quantity != 0 {
            lines.push(Pieces { product_id: product_id.to_owned(), quantity });
        }
    }
    if lines.is_empty() {
        return Err(Failure::field("lines", "is required"));
    }
    Ok(lines)
}

/// How many pieces of a line are left.
pub(super) fn left(line: &OrderLine) -> i32 {
    line.quantity.saturating_sub(line.cancelled_quantity).saturating_sub(line.returned_quantity)
}

/// The forms, as far as My Page has their actions.
pub(super) fn forms(visit: &Visit, order: &OrderView, away: &Away, filled: &Filled) -> Markup {
    let open = filled.failure().is_some();
    let is_away = away.has(ORDER);
    let why = html! { @if is_away { p.aside { (visit.text(NOT_NOW)) } } };
    let path = |pattern| paths::to(pattern, &order.order_id);
    html! {
        @for action in order.allowed_actions() {
            @match action {
                Action::CancelLines => details.card open[open] {
                    summary { (visit.t("부분취소", "Cancel some of it")) }
                    (form::post(visit, &path(paths::MY_ORDER_CANCEL_LINES), filled, &html! {
                        (quantities(visit, order, filled))
                        button.button.button-danger disabled[is_away] { (visit.t("부분취소하기", "Cancel these")) }
                        (why)
                    }))
                },
                Action::RequestReturn => details.card open[open] {
                    summary { (visit.t("반품신청", "Ask for a return")) }
                    @if let Some(until) = &order.returnable_until {
                        p.aside { (view::time(visit, Some(until)))
                            (visit.t("까지 신청할 수 있습니다.", " is the last moment for it.")) }
                    }
                    (form::post(visit, &path(paths::MY_ORDER_RETURN), filled, &html! {
                        (quantities(visit, order, filled))
                        (Field::new("reason", ("반품 사유", "Why")).lines(3).required().longest(500)
                            .show(visit, filled))
                        button.button disabled[is_away] { (visit.t("반품신청하기", "Ask for it")) }
                        (why)
                    }))
                },
                _ => {}
            }
        }
    }
}

fn quantities(visit: &Visit, order: &OrderView, filled: &Filled) -> Markup {
    html! {
        @for line in order.lines.iter().filter(|line| left(line) > 0) {
            @let name = format!("pieces-{}", line.product_id);
            input type="hidden" name="product" value=(line.product_id);
            div.row.row-apart {
                label.grow.cut for=(name) { (line.display_name) }
                span.row {
                    input.quantity id=(name) type="number" name=(name) min="0" max=(left(line))
                        value=(filled.value(&name).unwrap_or("0"));
                    span.aside { "/ " (left(line)) (visit.t("개", "")) }
                }
            }
        }
    }
}

/// The returns of an order.
pub(super) fn returns(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        @if !order.returns.is_empty() {
            section.card {
                h2 { (visit.t("반품", "Returns")) }
                ul.lines { @for one in &order.returns { li { (entry(visit, order, one)) } } }
            }
        }
    }
}

fn entry(visit: &Visit, order: &OrderView, one: &Return) -> Markup {
    let (tone, text) = states::returned(one.state());
    let name = |product: &str| {
        let line = order.lines.iter().find(|line| line.product_id == product);
        line.map_or("", |line| line.display_name.as_str()).to_owned()
    };
    html! {
        div.grow {
            @for pieces in &one.lines { p { (name(&pieces.product_id)) " × " (pieces.quantity) } }
            p.aside { (view::time(visit, one.create_time.as_ref())) " · " (one.reason) }
            @if !one.reject_reason.is_empty() { p.wrong { (one.reject_reason) } }
            @if view::won(one.refunded.as_ref()) > 0 {
                p.aside { (visit.t("환불 ", "Refund ")) (view::price(visit, view::won(one.refunded.as_ref()))) }
            }
        }
        (view::badge(tone, visit.text(text)))
    }
}
