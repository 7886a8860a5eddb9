//! An order's whole story: what all services' logs say of it.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::{
    mypage::v1::{GetOrderTimelineRequest, OrderTimeline, TimelineEntry, timeline_entry::Kind},
    order::v1::GetOrderRequest,
};
use futures_util::join;
use maud::{Markup, html};
use serde::Deserialize;

use super::{admin, tabs};
use crate::{
    console::{self, states},
    failure::Failure,
    layout::Page,
    paths,
    view::{self, Tone},
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new().route(paths::ADMIN_STORY, get(show))
}

/// Of which order.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    order: String,
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    let order_id = asked.order.trim();
    let (story, failure) = if order_id.is_empty() {
        (html! {}, None)
    } else {
        match told(&visit, order_id).await {
            Ok(story) => (story, None),
            Err(failure) if failure.wants_sign_in() => return Err(failure),
            Err(failure) => (html! {}, Some(failure)),
        }
    };
    let title = visit.t("주문 기록", "An order's story");
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        form.row action=(paths::ADMIN_STORY) {
            label.unseen for="f-order" { (visit.t("주문번호", "Order's id")) }
            input.grow #f-order name="order" value=(order_id) maxlength="36"
                placeholder=(visit.t("주문번호", "Order's id"));
            button.button { (visit.t("보기", "See")) }
        }
        @if let Some(failure) = &failure {
            p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
        }
        (story)
    };
    Ok(Page::new(&visit, title).failed(failure.as_ref()).show(&main))
}

async fn told(visit: &Visit, order_id: &str) -> Result<Markup, Failure> {
    let (mut timelines, mut orders) = (visit.timelines(), visit.orders());
    let asked = GetOrderTimelineRequest { order_id: order_id.to_owned() };
    let order = GetOrderRequest { order_id: order_id.to_owned() };
    let (story, order) = join!(
        timelines.get_order_timeline(visit.ask(asked)),
        // Its state; the story is told without.
        orders.get_order(visit.ask_briefly(order)),
    );
    let story = story?.into_inner();
    let order = order.ok().map(tonic::Response::into_inner);
    Ok(html! {
        @if let Some(order) = &order {
            @let (tone, text) = states::order(order.state());
            section.card {
                div.row.row-apart {
                    span { (visit.t("회원", "Member")) " "
                        a href=(paths::to(paths::ADMIN_MEMBER, &order.member_id)) {
                            (console::id(&order.member_id))
                        }
                    }
                    span.price { (view::price(visit, view::won(order.total.as_ref()))) }
                    (view::badge(tone, visit.text(text)))
                }
            }
        }
        @if !story.unavailable.is_empty() {
            p.alert.alert-wait role="status" {
                (visit.t("응답하지 않은 서비스: ", "Services that did not answer: "))
                (story.unavailable.join(", "))
            }
        }
        (entries(visit, &story))
    })
}

fn entries(visit: &Visit, story: &OrderTimeline) -> Markup {
    let title = visit.t("일어난 일", "What happened");
    let columns = [
        visit.t("시각", "When"),
        visit.t("서비스", "Service"),
        visit.t("사건", "What"),
        visit.t("원인", "Caused by"),
        visit.t("추적", "Trace"),
    ];
    let row = |entry: &TimelineEntry| {
        let what = match entry.kind() {
            Kind::Unspecified => html! {},
            Kind::Call => view::badge(Tone::Busy, visit.t("호출", "Call")),
            Kind::Event => view::badge(Tone::Plain, visit.t("이벤트", "Event")),
            Kind::Message => view::badge(Tone::Good, visit.t("메시지", "Message")),
        };
        let cause = story.entries.iter().find(|it| it.event_id == entry.causation_id);
        vec![
            exactly(visit, entry),
            html! { code { (entry.service) } },
            html! { (what) " " code { (entry.r#type) } },
            html! { @if let Some(cause) = cause { (cause.service) " " code { (cause.r#type) } } },
            console::id(&entry.trace_id),
        ]
    };
    let rows: Vec<_> = story.entries.iter().map(row).collect();
    html! {
        @if rows.is_empty() { p.aside { (visit.t("아직 아무 일도 없습니다.", "Nothing yet.")) } }
        @else { (view::table(title, &columns, &rows)) }
    }
}

/// With what the minute leaves out.
fn exactly(visit: &Visit, entry: &TimelineEntry) -> Markup {
    let at = entry.time.as_ref();
    let (second, millis) =
        at.map_or((0, 0), |at| (at.seconds.rem_euclid(60), at.nanos / 1_000_000));
    html! { span.exact { (view::time(visit, at)) (format!(":{second:02}.{millis:03}")) } }
}
