//! What messages say, and what was sent last.

use axum::{
    Router,
    extract::{Path, Query},
    response::Response,
    routing::{get, post},
};
use contracts::notification::v1::{
    GetNotificationTemplateRequest, ListNotificationsRequest, Notification, NotificationTemplate,
    UpdateNotificationTemplateRequest, notification::Audience,
};
use futures_util::future::try_join_all;
use maud::{Markup, html};

use super::{admin, tabs};
use crate::{
    console::{self, Asked, PAGE, Tried},
    failure::Failure,
    form::{self, Field, Posted},
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

const ALL: [(&str, Text); 5] = [
    ("member-registered", ("회원 가입 (관리자에게)", "A member signed up (to admins)")),
    ("payment-approved", ("결제 완료 (마케팅)", "A payment was approved (marketing)")),
    ("delivery-dispatched", ("발송 (회원에게)", "Dispatched (to the member)")),
    ("delivery-delivered", ("배송완료 (회원에게)", "Delivered (to the member)")),
    ("points-expiring", ("포인트 소멸 예정 (회원에게)", "Points expire soon (to the member)")),
];

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN_TEMPLATES, get(show))
        .route(paths::ADMIN_TEMPLATE, post(change))
}

async fn show(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    page(&visit, &asked, &Tried::default()).await
}

async fn change(
    visit: Visit,
    Path(name): Path<String>,
    mut form: Posted,
) -> Result<Response, Failure> {
    admin(&visit)?;
    let message = UpdateNotificationTemplateRequest {
        template: name.clone(),
        body: Some(form.text("body").to_owned()),
    };
    let asked = visit.edit(form.key(), form.text("etag"), message);
    let done = visit.notifications().update_notification_template(asked).await;
    match console::settled(&visit, paths::ADMIN_TEMPLATES, done.map_err(Failure::from)) {
        Err(mut failure) if !failure.wants_sign_in() => {
            if failure.is_stale() {
                let now = template(&visit, &name).await?;
                form.set("etag", &now.etag);
                failure = failure.now("body", now.body);
            }
            page(&visit, &Asked::default(), &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn template(visit: &Visit, name: &str) -> Result<NotificationTemplate, Failure> {
    let message = GetNotificationTemplateRequest { template: name.to_owned() };
    let found = visit.notifications().get_notification_template(visit.ask(message)).await?;
    Ok(found.into_inner())
}

async fn page(visit: &Visit, asked: &Asked, tried: &Tried) -> Result<Response, Failure> {
    let templates = try_join_all(ALL.map(|(name, _)| template(visit, name))).await?;
    let message = ListNotificationsRequest {
        page_size: PAGE,
        page_token: asked.page.clone(),
        ..ListNotificationsRequest::default()
    };
    let sent = visit.notifications().list_notifications(visit.ask(message)).await?.into_inner();
    let title = visit.t("메시지", "Messages");
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        div.columns.columns-two {
            @for ((_, label), template) in ALL.iter().zip(&templates) {
                section.card {
                    h2 { (visit.text(*label)) }
                    (template_form(visit, template, tried))
                }
            }
        }
        section.stack {
            h2 { (visit.t("보낸 메시지", "What was sent")) }
            (list(visit, &sent.notifications))
            (view::pages(visit, paths::ADMIN_TEMPLATES, &[], &asked.page, &sent.next_page_token))
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn template_form(visit: &Visit, template: &NotificationTemplate, tried: &Tried) -> Markup {
    let filled = tried.of(&template.template);
    let id = format!("t-{}", template.template);
    let fields = html! {
        (form::hidden(&filled, "etag", &template.etag))
        (Field::new("body", ("글", "Text")).id(&id).lines(4).longest(2_000).required()
            .value(&template.body).show(visit, &filled))
        button.button { (visit.t("저장", "Save")) }
    };
    form::post(visit, &paths::to(paths::ADMIN_TEMPLATE, &template.template), &filled, &fields)
}

fn list(visit: &Visit, sent: &[Notification]) -> Markup {
    let columns = [visit.t("날짜", "When"), visit.t("누구에게", "To"), visit.t("글", "Text")];
    let row = |it: &Notification| {
        let audience = match it.audience() {
            Audience::Unspecified => "",
            Audience::Admin => visit.t("관리자", "Admins"),
            Audience::Marketing => visit.t("마케팅", "Marketing"),
            Audience::Member => visit.t("회원", "Member"),
        };
        vec![view::time(visit, it.create_time.as_ref()), html! { (audience) }, html! { (it.body) }]
    };
    let rows: Vec<_> = sent.iter().map(row).collect();
    html! {
        @if rows.is_empty() { p.aside { (visit.t("보낸 메시지가 없습니다.", "Nothing was sent.")) } }
        @else { (view::table(visit.t("보낸 메시지", "What was sent"), &columns, &rows)) }
    }
}
