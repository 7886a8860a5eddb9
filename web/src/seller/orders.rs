//! Orders as the shop sees them, and cancelling one.

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::{get, post},
};
use contracts::order::v1::{
    CancelOrderRequest, GetOrderRequest, ListOrdersRequest, Order, OrderLine, order::State,
};
use identity::auth::Role;
use maud::{Markup, html};

use super::{staff, tabs};
use crate::{
    console::{self, Asked, PAGE, states},
    failure::Failure,
    form::{self, Field, Filled, Posted},
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

const STATES: [(&str, Text); 9] = [
    ("", ("전체", "All")),
    ("PLACED", ("주문접수", "Placed")),
    ("AWAITING_DEPOSIT", ("입금확인대기", "Awaiting deposit")),
    ("PAID", ("입금확인완료", "Paid")),
    ("PREPARED", ("상품준비완료", "Prepared")),
    ("DELIVERING", ("배송중", "On their way")),
    ("DELIVERED", ("배송완료", "Delivered")),
    ("CLOSED", ("수령확인", "Received")),
    ("CANCELLED", ("주문취소", "Cancelled")),
];

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_ORDERS, get(list))
        .route(paths::SELLER_ORDER, get(show))
        .route(paths::SELLER_ORDER_CANCEL, post(cancel))
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    staff(&visit)?;
    let message = ListOrdersRequest {
        state: State::from_str_name(&asked.state).unwrap_or_default().into(),
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let found = visit.orders().list_orders(visit.ask(message)).await?.into_inner();
    let title = visit.t("주문", "Orders");
    let columns = [
        visit.t("날짜", "When"),
        visit.t("주문", "Order"),
        visit.t("결제", "By"),
        visit.t("금액", "Total"),
        visit.t("상태", "State"),
    ];
    let rows: Vec<_> = found.orders.iter().map(|order| row(&visit, order)).collect();
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        (console::filters(&visit, paths::SELLER_ORDERS, &asked.state, &STATES))
        @if rows.is_empty() {
            (view::empty(visit.t("주문이 없습니다", "No orders"),
                visit.t("다른 상태를 골라 보세요.", "Try another state."), None))
        } @else { (view::table(title, &columns, &rows)) }
        (view::pages(&visit, paths::SELLER_ORDERS, &[("state", &asked.state)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(&visit, title).show(&main))
}

fn row(visit: &Visit, order: &Order) -> Vec<Markup> {
    let (tone, text) = states::order(order.state());
    let first = order.lines.first().map_or("", |line| line.display_name.as_str());
    let more = order.lines.len().saturating_sub(1);
    vec![
        view::time(visit, order.create_time.as_ref()),
        html! { a href=(paths::to(paths::SELLER_ORDER, &order.id)) {
            (first) @if more > 0 { " +" (more) }
        } },
        html! { (visit.text(states::method(order.payment_method()))) },
        html! { span.number { (view::price(visit, view::won(order.total.as_ref()))) } },
        view::badge(tone, visit.text(text)),
    ]
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    staff(&visit)?;
    page(&visit, &id, &Filled::default()).await
}

async fn cancel(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let message = CancelOrderRequest {
        order_id: id.clone(),
        reason: form.text("reason").to_owned(),
        refund_account: console::account(&form),
    };
    let asked = visit.command(form.key(), message);
    let done = visit.orders().cancel_order(asked).await.map_err(Failure::from);
    match console::settled(&visit, &paths::to(paths::SELLER_ORDER, &id), done) {
        Err(failure) if !failure.wants_sign_in() => page(&visit, &id, &form.refused(failure)).await,
        done => done,
    }
}

async fn page(visit: &Visit, id: &str, filled: &Filled) -> Result<Response, Failure> {
    let message = GetOrderRequest { order_id: id.to_owned() };
    let order = visit.orders().get_order(visit.ask(message)).await?.into_inner();
    let (tone, text) = states::order(order.state());
    let title = visit.t("주문", "Order");
    let is_open = !matches!(order.state(), State::Closed | State::Cancelled | State::Cancelling);
    let main = html! {
        div.row.row-apart { h1 { (title) } (view::badge(tone, visit.text(text))) }
        (tabs(visit))
        div.columns.columns-two {
            section.card { (facts(visit, &order)) }
            @if is_open {
                section.card {
                    h2 { (visit.t("주문취소", "Cancel the order")) }
                    (cancel_form(visit, &order, filled))
                }
            }
        }
        (lines(visit, &order.lines))
    };
    Ok(Page::new(visit, title).failed(filled.failure()).show(&main))
}

fn facts(visit: &Visit, order: &Order) -> Markup {
    let won = |money| html! { (view::price(visit, view::won(money))) };
    let story = paths::with(paths::ADMIN_STORY, &[("order", &order.id)]);
    console::facts(vec![
        (visit.t("주문번호", "Order"), console::id(&order.id)),
        (visit.t("주문한 때", "Placed"), view::time(visit, order.create_time.as_ref())),
        (visit.t("회원", "Member"), console::id(&order.member_id)),
        (
            visit.t("결제 수단", "Paid by"),
            html! { (visit.text(states::method(order.payment_method()))) },
        ),
        (visit.t("상품 금액", "Goods"), won(order.goods_total.as_ref())),
        (visit.t("쿠폰", "Coupon"), won(order.coupon_discount.as_ref())),
        (visit.t("포인트", "Points"), html! { (view::points(order.points_used)) }),
        (visit.t("지갑", "Wallet"), won(order.wallet_used.as_ref())),
        (visit.t("결제 금액", "Paid by the method"), won(order.payable.as_ref())),
        (
            visit.t("전체 기록", "Its story"),
            html! {
                @if visit.has(Role::Admin) { a href=(story) { (visit.t("보기", "see")) } }
            },
        ),
    ])
}

fn lines(visit: &Visit, lines: &[OrderLine]) -> Markup {
    let title = visit.t("상품", "Lines");
    let columns = [
        visit.t("상품", "Product"),
        visit.t("수량", "Units"),
        visit.t("단가", "Each"),
        visit.t("취소·반품", "Taken back"),
    ];
    let product = if visit.has(Role::Seller) { paths::SELLER_PRODUCT } else { paths::PRODUCT };
    let row = |line: &OrderLine| {
        let back = i64::from(line.cancelled_quantity).saturating_add(line.returned_quantity.into());
        vec![
            html! { a href=(paths::to(product, &line.product_id)) { (line.display_name) } },
            html! { span.number { (view::grouped(line.quantity.into())) } },
            html! { span.number { (view::price(visit, view::won(line.unit_price.as_ref()))) } },
            html! { span.number { (view::grouped(back)) } },
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    html! { section.stack { h2 { (title) } (view::table(title, &columns, &rows)) } }
}

fn cancel_form(visit: &Visit, order: &Order, filled: &Filled) -> Markup {
    let fields = html! {
        (Field::new("reason", ("이유", "Why")).longest(200)
            .hint(visit.t("가게 기록에 남습니다", "for the shop's records")).show(visit, filled))
        details open[filled.failure().is_some()] {
            summary { (visit.t("이체 금액을 보낼 계좌", "Account for a transfer's money")) }
            p.hint { (visit.t("비우면 회원의 지갑으로 갑니다.", "Empty: it goes to the member's wallet.")) }
            (console::account_fields(visit, filled, false))
        }
        button.button.button-danger { (visit.t("주문취소", "Cancel")) }
    };
    form::post(visit, &paths::to(paths::SELLER_ORDER_CANCEL, &order.id), filled, &fields)
}
