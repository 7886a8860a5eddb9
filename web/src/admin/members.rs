//! All members, found by words of their address and name.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::member::v1::{ListMembersRequest, Member, Role, member::State};
use maud::{Markup, html};

use super::{admin, tabs};
use crate::{
    console::{self, Asked, PAGE},
    failure::Failure,
    layout::Page,
    paths,
    view::{self, Tone},
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new().route(paths::ADMIN_MEMBERS, get(list))
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    let message = ListMembersRequest {
        query: asked.query.clone(),
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let found = visit.members().list_members(visit.ask(message)).await?.into_inner();
    let title = visit.t("회원", "Members");
    let columns = [
        visit.t("이름", "Name"),
        visit.t("이메일", "Email"),
        visit.t("역할", "Roles"),
        visit.t("상태", "State"),
        visit.t("가입", "Since"),
    ];
    let rows: Vec<_> = found.members.iter().map(|member| row(&visit, member)).collect();
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        (console::search(&visit, paths::ADMIN_MEMBERS, ("이메일이나 이름", "Address or name"), &asked.query))
        @if rows.is_empty() {
            (view::empty(visit.t("회원이 없습니다", "No members"),
                visit.t("다른 검색어로 찾아보세요.", "Try another word."), None))
        } @else { (view::table(title, &columns, &rows)) }
        (view::pages(&visit, paths::ADMIN_MEMBERS, &[("query", &asked.query)], &asked.page,
            &found.next_page_token))
    };
    Ok(Page::new(&visit, title).show(&main))
}

fn row(visit: &Visit, member: &Member) -> Vec<Markup> {
    let name = if member.display_name.is_empty() { &member.id } else { &member.display_name };
    vec![
        html! { a href=(paths::to(paths::ADMIN_MEMBER, &member.id)) { (name) } },
        html! { (member.email) },
        roles(visit, member),
        state(visit, member),
        view::day(visit, member.create_time.as_ref()),
    ]
}

pub(super) fn state(visit: &Visit, member: &Member) -> Markup {
    match member.state() {
        State::Unspecified => html! {},
        State::Active => view::badge(Tone::Good, visit.t("활동", "Active")),
        State::Withdrawing => view::badge(Tone::Busy, visit.t("탈퇴중", "Leaving")),
        State::Withdrawn => view::badge(Tone::Plain, visit.t("탈퇴", "Left")),
    }
}

pub(super) fn roles(visit: &Visit, member: &Member) -> Markup {
    html! {
        @for role in member.roles() {
            @match role {
                Role::Unspecified | Role::Member => {}
                Role::Seller => { (view::badge(Tone::Busy, visit.t("판매자", "Seller"))) " " }
                Role::Admin => { (view::badge(Tone::Waiting, visit.t("관리자", "Admin"))) " " }
            }
        }
    }
}
