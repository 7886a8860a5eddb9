//! One member: their roles, their wallet, and giving them a coupon.

use axum::{
    Router,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use contracts::{
    member::v1::{GetMemberRequest, GrantRoleRequest, Member, RevokeRoleRequest, Role},
    payment::v1::{AdjustWalletRequest, GetWalletRequest},
};
use maud::{Markup, html};

use super::{
    admin,
    members::{roles, state},
    tabs,
};
use crate::{
    console::{self, Tried},
    failure::Failure,
    form::{self, Field, Posted},
    layout::Page,
    paths, view,
    visit::Visit,
};

const ROLE: &str = "role";
const WALLET: &str = "wallet";

pub(super) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN_MEMBER, get(show))
        .route(paths::ADMIN_ROLE, post(role))
        .route(paths::ADMIN_WALLET, post(wallet))
}

async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Failure> {
    admin(&visit)?;
    page(&visit, &id, &Tried::default()).await
}

async fn role(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let role = Role::from_str_name(form.text("role")).unwrap_or_default().into();
    let member_id = id.clone();
    let done = if form.text("held") == "true" {
        let message = RevokeRoleRequest { member_id, role };
        visit.members().revoke_role(visit.command(form.key(), message)).await
    } else {
        let message = GrantRoleRequest { member_id, role };
        visit.members().grant_role(visit.command(form.key(), message)).await
    };
    after(&visit, &id, done.map(drop).map_err(Failure::from), (ROLE, form)).await
}

async fn wallet(visit: Visit, Path(id): Path<String>, form: Posted) -> Result<Response, Failure> {
    admin(&visit)?;
    let done = async {
        let message = AdjustWalletRequest {
            member_id: id.clone(),
            amount: view::money(form.number("amount")?),
            reason: form.text("reason").to_owned(),
        };
        visit.payments().adjust_wallet(visit.command(form.key(), message)).await?;
        Ok(())
    };
    let done = done.await;
    after(&visit, &id, done, (WALLET, form)).await
}

async fn after(
    visit: &Visit,
    id: &str,
    done: Result<(), Failure>,
    (name, form): (&str, Posted),
) -> Result<Response, Failure> {
    match console::settled(visit, &paths::to(paths::ADMIN_MEMBER, id), done) {
        Err(failure) if !failure.wants_sign_in() => {
            page(visit, id, &Tried::new(name, form.refused(failure))).await
        }
        done => done,
    }
}

async fn page(visit: &Visit, id: &str, tried: &Tried) -> Result<Response, Failure> {
    let message = GetMemberRequest { member_id: id.to_owned() };
    let member = visit.members().get_member(visit.ask(message)).await?.into_inner();
    let title = if member.display_name.is_empty() { &member.id } else { &member.display_name };
    let main = html! {
        div.row.row-apart { h1 { (title) } (state(visit, &member)) }
        (tabs(visit))
        div.columns.columns-two {
            section.card { (facts(visit, &member)) }
            section.card {
                h2 { (visit.t("역할", "Roles")) }
                (role_forms(visit, &member, tried))
            }
            section.card {
                h2 { (visit.t("지갑", "Wallet")) }
                (wallet_part(visit, &member, tried).await)
            }
        }
    };
    Ok(Page::new(visit, title).failed(tried.failure()).show(&main))
}

fn facts(visit: &Visit, member: &Member) -> Markup {
    let yes =
        |is: bool| html! { (if is { visit.t("예", "yes") } else { visit.t("아니요", "no") }) };
    console::facts(vec![
        (visit.t("회원 번호", "Id"), console::id(&member.id)),
        (visit.t("이메일", "Email"), html! { (member.email) }),
        (visit.t("가입한 때", "Signed up"), view::time(visit, member.create_time.as_ref())),
        (visit.t("역할", "Roles"), roles(visit, member)),
        (visit.t("가입 쿠폰 발급", "Sign-up coupon issued"), yes(member.coupon_issued)),
        (visit.t("관리자에게 알림", "Admin told"), yes(member.admin_notified)),
        (
            visit.t("감사 기록", "What was done"),
            html! {
                a href=(paths::with(paths::ADMIN_AUDIT, &[("subject", &member.id)])) {
                    (visit.t("감사 기록 보기", "see the audit list"))
                }
            },
        ),
    ])
}

fn role_forms(visit: &Visit, member: &Member, tried: &Tried) -> Markup {
    let words = [
        (
            Role::Seller,
            visit.t("판매자 역할 부여", "Make a seller"),
            visit.t("판매자 역할 회수", "Take the seller's role back"),
        ),
        (
            Role::Admin,
            visit.t("관리자 역할 부여", "Make an admin"),
            visit.t("관리자 역할 회수", "Take the admin's role back"),
        ),
    ];
    let action = paths::to(paths::ADMIN_ROLE, &member.id);
    html! {
        @if let Some(failure) = tried.of(ROLE).failure() {
            p.alert.alert-bad role="alert" { (failure.say(visit.lang)) }
        }
        div.row {
            @for (role, grant, revoke) in words {
                @let held = member.roles().any(|it| it == role);
                @let class = if held { "button button-danger" } else { "button" };
                (form::button(visit, &action, class, if held { revoke } else { grant },
                    &[("role", role.as_str_name()), ("held", if held { "true" } else { "false" })]))
            }
        }
        p.hint { (visit.t("준 역할은 다음 로그인부터, 거둔 역할은 바로 적용됩니다.",
            "A role that is given counts from the next sign-in; one that is taken back, at once.")) }
    }
}

async fn wallet_part(visit: &Visit, member: &Member, tried: &Tried) -> Markup {
    let asked = visit.ask_briefly(GetWalletRequest { member_id: member.id.clone() });
    let wallet = visit.payments().get_wallet(asked).await.map_err(Failure::from);
    let filled = tried.of(WALLET);
    let fields = html! {
        (Field::new("amount", ("더할 금액", "Amount to add")).number(-1_000_000_000, 1_000_000_000)
            .required().hint(visit.t("빼려면 음수", "negative to take")).show(visit, &filled))
        (Field::new("reason", ("이유", "Why")).required().longest(200).show(visit, &filled))
        button.button { (visit.t("조정", "Adjust")) }
    };
    html! {
        @match wallet {
            Ok(wallet) => {
                p.price.price-large { (view::price(visit, view::won(wallet.get_ref().balance.as_ref()))) }
            }
            Err(failure) => { (view::away(visit, ("결제", "Payment"), failure.wait())) }
        }
        (console::folded(visit, ("잔액 조정", "Adjust the balance"),
            &paths::to(paths::ADMIN_WALLET, &member.id), &filled, &fields))
    }
}
