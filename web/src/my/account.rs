//! Who the member is, and leaving.

use axum::{Router, response::Response, routing::get};
use contracts::member::v1::{GetMemberRequest, Member, WithdrawMemberRequest};
use maud::{Markup, html};

use super::{live, tabs};
use crate::{
    failure::Failure,
    form::{self, Filled, Posted},
    layout::{Notice, Page},
    paths, view,
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new().route(paths::MY_ACCOUNT, get(show).post(leave))
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    page(&visit, &Filled::default()).await
}

async fn leave(visit: Visit, form: Posted) -> Result<Response, Failure> {
    if !form.has("sure") {
        let missing = Failure::field("sure", "is required");
        return page(&visit, &form.refused(missing)).await;
    }
    let message = WithdrawMemberRequest { member_id: visit.member_id()? };
    let done = visit.members().withdraw_member(visit.command(form.key(), message)).await;
    match done.map_err(Failure::from) {
        Ok(_) => {
            let mut response = visit.go(paths::HOME, Some(Notice::Left));
            visit.set_session(&mut response, "", 0);
            Ok(response)
        }
        Err(failure) if failure.wants_sign_in() => Err(failure),
        Err(failure) => page(&visit, &form.refused(failure)).await,
    }
}

async fn page(visit: &Visit, filled: &Filled) -> Result<Response, Failure> {
    let title = visit.t("회원 정보", "Account");
    let asked = visit.ask(GetMemberRequest { member_id: visit.member_id()? });
    let who = match visit.members().get_member(asked).await {
        Ok(member) => facts(visit, &member.into_inner()),
        Err(status) => match Failure::from(status) {
            failure if failure.is_away() => view::away(visit, ("회원", "Member"), failure.wait()),
            failure => return Err(failure),
        },
    };
    let wrong = filled.failure().and_then(|it| it.of_field("sure", visit.lang));
    let fields = html! {
        label.choice {
            input type="checkbox" name="sure" value="yes" required aria-invalid=[wrong.map(|_| "true")];
            span { (visit.t("쿠폰과 포인트가 사라지는 것을 알고 있으며, 탈퇴합니다.",
                "I know that my coupons and points go, and I leave.")) }
        }
        button.button.button-danger { (visit.t("탈퇴하기", "Leave")) }
    };
    let main = html! {
        h1 { (title) }
        (tabs(visit))
        section.card { h2 { (visit.t("내 정보", "About you")) } (live("member", &who)) }
        section.card {
            h2 { (visit.t("회원 탈퇴", "Leaving")) }
            p.aside { (visit.t("진행 중인 주문이나 지갑 잔액이 있으면 탈퇴할 수 없습니다.",
                "You cannot leave while an order is under way, or with money in your wallet.")) }
            (form::post(visit, paths::MY_ACCOUNT, filled, &fields))
        }
    };
    Ok(Page::new(visit, title).failed(filled.failure()).show(&main))
}

fn facts(visit: &Visit, member: &Member) -> Markup {
    view::facts(&[
        (visit.t("이름", "Name"), html! { (member.display_name) }),
        (visit.t("이메일", "Email"), html! { (member.email) }),
        (visit.t("가입일", "Member since"), view::day(visit, member.create_time.as_ref())),
    ])
}
