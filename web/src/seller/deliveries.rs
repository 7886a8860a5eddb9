//! What is to be sent and what is on its way.

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::{get, post},
};
use contracts::delivery::v1::{
    Delivery, DispatchDeliveryRequest, ListDeliveriesRequest, MarkDeliveredRequest, delivery::State,
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

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::SELLER_DELIVERIES, get(show))
        .route(paths::SELLER_DISPATCH, post(dispatch))
        .route(paths::SELLER_DELIVERED, post(delivered))
}

const STATES: [(&str, Text); 5] = [
    ("", ("전체", "All")),
    ("STARTED", ("발송 대기", "To be dispatched")),
    ("DISPATCHED", ("배송중", "On their way")),
    ("DELIVERED", ("배송완료", "Delivered")),
    ("COMPLETED", ("수령확인", "Received")),
];

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    staff(&visit)?;
    page(&visit, &asked, &Tried::default()).await
}

async fn dispatch(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    staff(&visit)?;
    let message = DispatchDeliveryRequest {
        delivery_id: id.clone(),
        carrier: form.text("carrier").to_owned(),
        tracking_number: form.text("trackingNumber").to_owned(),
    };
    let asked = visit.command(form.key(), message);
    let done = visit.deliveries().dispatch_delivery(asked).await.map_err(Failure::from);
    after(&visit, &id, State::Started, done.map(drop), form).await
}

async fn delivered(
    visit: Visit,
    Path(id): Path<String>,
    form: Posted,
) -> Result<Response, Failure> {
    staff(&visit)?;
    let asked = visit.command(form.key(), MarkDeliveredRequest { delivery_id: id.clone() });
    let done = visit.deliveries().mark_delivered(asked).await.map_err(Failure::from);
    after(&visit, &id, State::Dispatched, done.map(drop), form).await
}

async fn after(
    visit: &Visit,
    id: &str,
    list: State,
    done: Result<(), Failure>,
    form: Posted,
) -> Result<Response, Failure> {
    let state = list.as_str_name();
    let path = paths::with(paths::SELLER_DELIVERIES, &[("state", state)]);
    match console::settled(visit, &path, done) {
        Err(failure) if !failure.wants_sign_in() => {
            let asked = Asked { state: state.to_owned(), ..Asked::default() };
            page(visit, &asked, &Tried::new(id, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, asked: &Asked, tried: &Tried) -> Result<Response, Failure> {
    let message = ListDeliveriesRequest {
        state: State::from_str_name(&asked.state).unwrap_or_default().into(),
        page_size: PAGE,
        page_token: asked.page.clone(),
        ..ListDeliveriesRequest::default()
    };
    let found = visit.deliveries().list_deliveries(visit.ask(message)).await?.into_inner();
    let goods = Goods::of(visit, found.deliveries.iter().map(|it| &*it.order_id)).await;
    let title = visit.t("배송", "Deliveries");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        (console::filters(visit, paths::SELLER_DELIVERIES, &asked.state, &STATES))
        @if found.deliveries.is_empty() {
            (view::empty(visit.t("배송이 없습니다", "No deliveries"),
                visit.t("주문이 준비되면 여기에 나옵니다.", "Orders that are prepared come here."), None))
        }
        ul.stack-tight {
            @for delivery in &found.deliveries { li { (card(visit, delivery, &goods, tried)) } }
        }
        (view::pages(visit, paths::SELLER_DELIVERIES, &[("state", &asked.state)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn card(visit: &Visit, delivery: &Delivery, goods: &Goods, tried: &Tried) -> Markup {
    let (tone, text) = states::delivery(delivery.state());
    let to = delivery.address.as_ref();
    html! {
        article.card {
            div.row.row-apart {
                (goods.head(visit, &delivery.order_id))
                (view::badge(tone, visit.text(text)))
            }
            (goods.to_pack(&delivery.order_id))
            (console::facts(vec![
                (visit.t("접수", "Started"), view::time(visit, delivery.create_time.as_ref())),
                (visit.t("받는 사람", "To"), html! {
                    @if let Some(to) = to {
                        (to.recipient) " · " (to.phone) br;
                        "(" (to.postcode) ") " (to.line1) " " (to.line2)
                        @if !to.memo.is_empty() { br; (to.memo) }
                    } @else { (visit.t("주소 없음", "no address")) }
                }),
                (visit.t("송장", "Parcel"), html! {
                    @if !delivery.carrier.is_empty() { (delivery.carrier) " " (delivery.tracking_number) }
                }),
            ]))
            (action(visit, delivery, tried))
        }
    }
}

fn action(visit: &Visit, delivery: &Delivery, tried: &Tried) -> Markup {
    let filled = tried.of(&delivery.id);
    match delivery.state() {
        State::Started => {
            let (one, two) = (format!("c-{}", delivery.id), format!("t-{}", delivery.id));
            let fields = html! {
                div.fields.fields-two {
                    (Field::new("carrier", ("택배사", "Carrier")).id(&one).required().longest(50)
                        .show(visit, &filled))
                    (Field::new("trackingNumber", ("송장번호", "Tracking number")).id(&two).required()
                        .longest(50).show(visit, &filled))
                }
                button.button.button-main { (visit.t("발송 처리", "Dispatch")) }
            };
            form::post(visit, &paths::to(paths::SELLER_DISPATCH, &delivery.id), &filled, &fields)
        }
        State::Dispatched => {
            let fields =
                html! { button.button { (visit.t("배송완료 처리", "Mark as delivered")) } };
            form::post(visit, &paths::to(paths::SELLER_DELIVERED, &delivery.id), &filled, &fields)
        }
        _ => html! {},
    }
}
