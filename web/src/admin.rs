//! 관리자: members and their roles, coupons, messages, money that waits, what could not be applied, and an
//! order's whole story.

mod audit;
mod coupons;
mod member;
mod members;
mod money;
mod parked;
mod refunds;
mod story;
mod templates;

use axum::{Router, response::Response, routing::get};
use identity::auth::Role;
use maud::{Markup, html};

use crate::{console, failure::Failure, lang::Text, layout::Page, paths, visit::Visit};

pub(crate) use self::parked::Consumers;

pub(crate) fn router() -> Router {
    Router::new()
        .route(paths::ADMIN, get(show))
        .merge(audit::router())
        .merge(coupons::router())
        .merge(member::router())
        .merge(members::router())
        .merge(money::router())
        .merge(parked::router())
        .merge(refunds::router())
        .merge(story::router())
        .merge(templates::router())
}

/// Whoever runs the shop; others are told that the page is for others.
fn admin(visit: &Visit) -> Result<(), Failure> {
    console::must_be(visit, &[Role::Admin])
}

const PAGES: [(&str, Text); 8] = [
    (paths::ADMIN, ("한눈에", "Overview")),
    (paths::ADMIN_MEMBERS, ("회원", "Members")),
    (paths::ADMIN_COUPONS, ("쿠폰", "Coupons")),
    (paths::ADMIN_TEMPLATES, ("메시지", "Messages")),
    (paths::ADMIN_MONEY, ("입출금", "Money")),
    (paths::ADMIN_STORY, ("주문 기록", "Stories")),
    (paths::ADMIN_PARKED, ("보류된 이벤트", "Parked events")),
    (paths::ADMIN_AUDIT, ("감사 기록", "Audit")),
];

fn tabs(visit: &Visit) -> Markup {
    console::tabs(visit, ("관리자 메뉴", "Admin"), &PAGES)
}

async fn show(visit: Visit) -> Result<Response, Failure> {
    admin(&visit)?;
    let title = visit.t("관리자", "Admin");
    let said: [Text; 7] = [
        ("찾기, 역할, 지갑", "search, roles, wallets"),
        ("발급 조건, 발급", "terms, issuing"),
        ("보내는 글", "what is sent"),
        ("보류된 입금, 출금, 실패한 환불", "held deposits, payouts, failed refunds"),
        ("주문 하나의 모든 이벤트", "all events of one order"),
        ("적용하지 못한 이벤트", "what could not be applied"),
        ("누가 무엇을 왜 했는지", "who did what, and why"),
    ];
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        div.tiles {
            @for ((path, label), text) in PAGES.iter().skip(1).zip(said) {
                a.card.tile href=(path) {
                    span.tile-value { (visit.text(*label)) }
                    span.tile-name { (visit.text(text)) }
                }
            }
            a.card.tile href=(paths::SELLER) {
                span.tile-value { (visit.t("주문·입금·배송·반품", "Orders, deposits, deliveries, returns")) }
                span.tile-name { (visit.t("판매자와 함께 봅니다", "shared with sellers")) }
            }
            a.card.tile href=(paths::OPS) {
                span.tile-value { "/ops" }
                span.tile-name { (visit.t("배포 상태 한눈에", "the deployment at a glance")) }
            }
        }
    };
    Ok(Page::new(&visit, title).show(&main))
}
