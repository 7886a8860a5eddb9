//! One order: its milestones, what it costs and what pays, where it goes, and the buttons of exactly what
//! My Page says that its member may do now.

use std::time::Duration;

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use contracts::{
    mypage::v1::{GetMyOrderRequest, OrderView, order_view::Action},
    order::v1::{
        CancelOrderRequest, ConfirmReceiptRequest, GetOrderRequest, PaymentMethod,
        order::{
            self,
            State::{Cancelled, Closed, Delivered, Delivering, Paid, Prepared},
        },
    },
    payment::v1::{ListPaymentsRequest, Payment},
};
use futures_util::join;
use maud::{Markup, html};
use tokio::time::{Instant, sleep};

use super::{away::Away, live, orders, parts, states};
use crate::{
    checkout,
    failure::Failure,
    form::{Filled, Posted},
    lang::Text,
    layout::{Notice, Page},
    paths,
    view::{self, Tone},
    visit::Visit,
};

/// The service that the buttons need.
pub(super) const ORDER: &str = "order";
/// How long My Page may take to hear of an order that was placed just now, before the page is shown
/// without.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(60);

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::MY_ORDER, get(show))
        .route(paths::MY_ORDER_CANCEL, post(cancel))
        .route(paths::MY_ORDER_CONFIRM, post(confirm))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    page(&visit, &id, None, &Filled::default()).await
}

async fn cancel(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    let message = CancelOrderRequest { order_id: id.clone(), ..<_>::default() };
    let asked = visit.command(form.key(), message);
    let done = visit.orders().cancel_order(asked).await.map_err(Failure::from);
    after(&visit, &id, done.map(|_| Notice::Cancelled), form).await
}

async fn confirm(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    let message = ConfirmReceiptRequest { order_id: id.clone() };
    let asked = visit.command(form.key(), message);
    let done = visit.orders().confirm_receipt(asked).await.map_err(Failure::from);
    after(&visit, &id, done.map(|_| Notice::Confirmed), form).await
}

/// The order's page again, with what came of it.
pub(super) async fn after(
    visit: &Visit,
    id: &str,
    done: Result<Notice, Failure>,
    form: Posted,
) -> Result<Response, Failure> {
    let path = paths::to(paths::MY_ORDER, id);
    match done {
        Ok(notice) => Ok(visit.go(&path, Some(notice))),
        Err(failure) if failure.reason() == "OUTCOME_PENDING" => {
            Ok(visit.go(&path, Some(Notice::Cancelling)))
        }
        Err(failure) if failure.wants_sign_in() => Err(failure),
        // Of a form with fields the form says it, of a button the page.
        Err(failure) if form.has("product") => page(visit, id, None, &form.refused(failure)).await,
        Err(failure) => page(visit, id, Some(&failure), &Filled::default()).await,
    }
}

/// What there is to show: My Page's view, and what payment says.
struct Shown {
    order: OrderView,
    payment: Option<Payment>,
    away: Away,
}

async fn page(
    visit: &Visit,
    id: &str,
    failure: Option<&Failure>,
    filled: &Filled,
) -> Result<Response, Failure> {
    let title = visit.t("주문 내역", "Order");
    let (name, content) = match find(visit, id).await {
        Ok(Some(shown)) => (orders::name(visit, &shown.order), content(visit, &shown, filled)),
        Ok(None) => (title.to_owned(), super::nothing_yet(visit, Failure::not_found())?),
        Err(failure) if failure.is_not_found() => return Err(failure),
        Err(failure) => (title.to_owned(), super::nothing_yet(visit, failure)?),
    };
    let main = html! {
        p { a href=(paths::MY_ORDERS) { "← " (visit.t("주문 목록", "All orders")) } }
        h1 { (name) }
        @if let Some(failure) = failure {
            p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
        }
        (live("order", &content))
    };
    Ok(Page::new(visit, title).failed(failure.or(filled.failure())).live().show(&main))
}

async fn find(visit: &Visit, id: &str) -> Result<Option<Shown>, Failure> {
    let member_id = visit.member_id()?;
    let (order, away) = join!(heard(visit, &member_id, id), Away::now(visit));
    let (Some(order), away) = (order?, away?) else { return Ok(None) };
    let payment = if is_due(&order) && !away.has("payment") {
        let of_order = ListPaymentsRequest { order_id: id.to_owned(), ..<_>::default() };
        let payments = visit.payments().list_payments(visit.ask_briefly(of_order)).await;
        payments.ok().and_then(|it| it.into_inner().payments.into_iter().next())
    } else {
        None
    };
    Ok(Some(Shown { order, payment, away }))
}

/// Money is to be transferred for it.
fn is_due(order: &OrderView) -> bool {
    order.allowed_actions().any(|action| action == Action::PayDeposit)
}

/// The order, once My Page has heard of it; none when it has not yet.
async fn heard(visit: &Visit, member_id: &str, id: &str) -> Result<Option<OrderView>, Failure> {
    let begun = Instant::now();
    loop {
        let (member_id, order_id) = (member_id.to_owned(), id.to_owned());
        let asked = visit.ask(GetMyOrderRequest { member_id, order_id });
        match visit.my_page().get_my_order(asked).await.map_err(Failure::from) {
            Ok(order) => return Ok(Some(order.into_inner())),
            Err(failure) if !failure.is_not_found() => return Err(failure),
            Err(_) if visit.notice != Some(Notice::Ordered) || begun.elapsed() > HEARD_WITHIN => {
                let asked = visit.ask_briefly(GetOrderRequest { order_id: id.to_owned() });
                let there = visit.orders().get_order(asked).await.map_err(Failure::from);
                return match there {
                    Err(failure) if !failure.is_outage() => Err(failure),
                    _ => Ok(None),
                };
            }
            Err(_) => sleep(LOOK).await,
        }
    }
}

fn content(visit: &Visit, shown: &Shown, filled: &Filled) -> Markup {
    let Shown { order, payment, away } = shown;
    let (tone, state) = states::order(order.state());
    html! {
        (away.show(visit))
        section.card aria-label=(visit.t("진행 상황", "Progress")) {
            div.row.row-apart {
                h2 { (visit.t("진행 상황", "Progress")) }
                (view::badge(tone, visit.text(state)))
            }
            p.aside { (visit.t("주문번호", "Order number")) " " code { (order.order_id) } }
            (steps(visit, order))
            @if order.state() == order::State::Cancelled {
                p { (visit.text(states::reason(order.cancel_reason()))) }
            }
            (buttons(visit, order, away))
        }
        @if is_due(order) { (deposit(visit, payment.as_ref())) }
        (parts::forms(visit, order, away, filled))
        (parts::returns(visit, order))
        div.columns.columns-two {
            (lines(visit, order))
            div.stack { (amounts(visit, order)) (goes_to(visit, order)) }
        }
    }
}

/// The milestones: those that are passed, with their times, and those that are to come.
fn steps(visit: &Visit, order: &OrderView) -> Markup {
    let passed = |state: order::State| order.history.iter().find(|it| it.state() == state);
    let mut road = vec![order::State::Placed];
    if order.payment_method() == PaymentMethod::BankTransfer {
        road.push(order::State::AwaitingDeposit);
    }
    road.extend([Paid, Prepared, Delivering, Delivered, Closed]);
    if order.state() == Cancelled {
        road.retain(|state| passed(*state).is_some());
        road.push(Cancelled);
    }
    html! {
        ol.steps {
            @for state in road {
                @let at = passed(state);
                @let class = match at {
                    Some(_) if state == Cancelled => "step step-bad",
                    Some(_) if state == order.state() => "step step-done step-now",
                    Some(_) => "step step-done",
                    None => "step",
                };
                li class=(class) aria-current=[(state == order.state()).then_some("step")] {
                    span { (visit.text(states::order(state).1)) }
                    @if let Some(at) = at { " " (view::time(visit, at.at.as_ref())) }
                    @else { span.unseen { (visit.t(" (아직)", " (to come)")) } }
                }
            }
        }
    }
}

/// A button per action, of those that My Page says.
fn buttons(visit: &Visit, order: &OrderView, away: &Away) -> Markup {
    let button = |pattern: &str, class: &str, (ko, en): Text| {
        let path = paths::to(pattern, &order.order_id);
        away.button(visit, (ORDER, &path), class, visit.t(ko, en))
    };
    let any = |action| matches!(action, Action::Cancel | Action::ConfirmReceipt);
    html! {
        @if order.allowed_actions().any(any) {
            div.row {
                @for action in order.allowed_actions() {
                    @match action {
                        Action::ConfirmReceipt => (button(paths::MY_ORDER_CONFIRM,
                            "button button-main", ("수령확인", "Confirm receipt"))),
                        Action::Cancel => (button(paths::MY_ORDER_CANCEL,
                            "button button-danger", ("주문취소", "Cancel order"))),
                        _ => {}
                    }
                }
            }
            (away.why(visit, ORDER))
        }
    }
}

/// Where the money is to go, with what reference, and by when.
fn deposit(visit: &Visit, payment: Option<&Payment>) -> Markup {
    let title = visit.t("입금 안내", "How to pay");
    let Some(payment) = payment.filter(|it| !it.deposit_reference.is_empty()) else {
        return html! {
            section.card { h2 { (title) } p.alert.alert-wait role="status" data-again="2" {
                (visit.t("입금 안내를 불러오고 있습니다.", "The account is being looked up."))
            } }
        };
    };
    let amount = payment.parts.iter().find(|it| it.method() == PaymentMethod::BankTransfer);
    let amount = amount.map_or(payment.amount.as_ref(), |part| part.amount.as_ref());
    let facts = [
        (visit.t("입금 계좌", "Account"), html! { (visit.web.account) }),
        (visit.t("입금액", "Amount"), html! { strong { (view::price(visit, view::won(amount))) } }),
        (
            visit.t("입금자명 뒤에 적을 번호", "Reference"),
            html! { code { (payment.deposit_reference) } },
        ),
        (visit.t("입금 기한", "Due by"), view::time(visit, payment.deposit_due_time.as_ref())),
    ];
    html! { section.card.deposit { h2 { (title) } (view::facts(&facts)) } }
}

fn lines(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        section.card {
            h2 { (visit.t("주문한 상품", "What was ordered")) }
            ul.lines {
                @for line in &order.lines {
                    @let unit = view::won(line.unit_price.as_ref());
                    li {
                        div.grow {
                            a.cut href=(paths::to(paths::PRODUCT, &line.product_id)) {
                                (line.display_name)
                            }
                            p.aside {
                                (view::price(visit, unit)) " × " (line.quantity)
                            }
                            @if line.cancelled_quantity > 0 {
                                (view::badge(Tone::Bad, &visit.lang.pick(
                                    format!("{}개 취소", line.cancelled_quantity),
                                    format!("{} cancelled", line.cancelled_quantity))))
                            }
                            @if line.returned_quantity > 0 {
                                (view::badge(Tone::Plain, &visit.lang.pick(
                                    format!("{}개 반품", line.returned_quantity),
                                    format!("{} returned", line.returned_quantity))))
                            }
                        }
                        p.price {
                            (view::price(visit, unit.saturating_mul(i64::from(line.quantity))))
                        }
                    }
                }
            }
        }
    }
}

fn amounts(visit: &Visit, order: &OrderView) -> Markup {
    let won = |money: &Option<contracts::Money>| view::won(money.as_ref());
    let price = |won: i64| view::price(visit, won);
    let (coupon, wallet) = (won(&order.coupon_discount), won(&order.wallet_used));
    let method = visit.text(states::method(order.payment_method()));
    html! {
        section.card {
            h2 { (visit.t("결제 정보", "Payment")) }
            dl.facts {
                div { dt { (visit.t("상품", "Goods")) } dd { (price(won(&order.total))) } }
                @if coupon != 0 {
                    div { dt { (visit.t("쿠폰", "Coupon")) } dd { "-" (price(coupon)) } }
                }
                @if order.points_used != 0 {
                    div { dt { (visit.t("포인트", "Points")) } dd { "-" (price(order.points_used)) } }
                }
                @if wallet != 0 {
                    div { dt { (visit.t("지갑", "Wallet")) } dd { "-" (price(wallet)) } }
                }
                div.total { dt { (method) } dd { (price(won(&order.payable))) } }
            }
            @if visit.lang == crate::lang::Lang::Ko && !order.payment_state_label.is_empty() {
                p.aside { (order.payment_state_label) }
            }
            @for refund in &order.refunds {
                @let (tone, text) = states::refund(refund.state());
                div.row.row-apart {
                    span { (visit.text(states::method(refund.tender()))) " "
                        (price(won(&refund.amount))) }
                    (view::badge(tone, visit.text(text)))
                }
            }
        }
    }
}

fn goes_to(visit: &Visit, order: &OrderView) -> Markup {
    html! {
        @if order.address.is_some() || !order.carrier.is_empty() {
            section.card {
                h2 { (visit.t("배송", "Delivery")) }
                @if let Some(address) = &order.address {
                    p { strong { (address.recipient) } }
                    p { (checkout::one_line(address)) }
                    @if !address.memo.is_empty() { p.aside { (address.memo) } }
                }
                @if !order.carrier.is_empty() {
                    (view::facts(&[
                        (visit.t("택배사", "Carrier"), html! { (order.carrier) }),
                        (visit.t("송장 번호", "Tracking number"),
                            html! { code { (order.tracking_number) } }),
                    ]))
                }
            }
        }
    }
}
