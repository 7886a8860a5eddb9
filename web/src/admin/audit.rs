//! What people of the shop did by hand: who, to what, and why.

use axum::{Router, extract::Query, response::Response, routing::get};
use contracts::mypage::v1::{AuditEntry, ListAuditEntriesRequest, audit_entry::Action};
use maud::{Markup, html};
use serde::Deserialize;

use super::{admin, tabs};
use crate::{
    console::{self, PAGE},
    failure::Failure,
    lang::Text,
    layout::Page,
    paths, view,
    visit::Visit,
};

pub(super) fn router() -> Router {
    Router::new().route(paths::ADMIN_AUDIT, get(list))
}

/// Of whom, or of what.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    actor: String,
    subject: String,
    page: String,
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    admin(&visit)?;
    let message = ListAuditEntriesRequest {
        actor_id: asked.actor.trim().to_owned(),
        subject_id: asked.subject.trim().to_owned(),
        page_size: PAGE,
        page_token: asked.page.clone(),
    };
    let found = visit.audit().list_audit_entries(visit.ask(message)).await?.into_inner();
    let title = visit.t("감사 기록", "Audit");
    let columns = [
        visit.t("시각", "When"),
        visit.t("작업", "What"),
        visit.t("처리자", "Who"),
        visit.t("대상", "To what"),
        visit.t("변경", "Change"),
        visit.t("이유", "Why"),
    ];
    let rows: Vec<_> = found.entries.iter().map(|entry| row(&visit, entry)).collect();
    let filters = [("actor", asked.actor.as_str()), ("subject", asked.subject.as_str())];
    let main = html! {
        h1 { (title) }
        (tabs(&visit))
        (filter(&visit, &asked))
        @if rows.is_empty() { p.aside { (visit.t("기록이 없습니다.", "There is nothing.")) } }
        @else { (view::table(title, &columns, &rows)) }
        (view::pages(&visit, paths::ADMIN_AUDIT, &filters, &asked.page, &found.next_page_token))
    };
    Ok(Page::new(&visit, title).show(&main))
}

fn filter(visit: &Visit, asked: &Asked) -> Markup {
    let field = |name: &str, value: &str, label: &str| {
        let id = format!("f-{name}");
        html! { div.field.grow {
            label for=(id) { (label) }
            input id=(id) name=(name) value=(value) maxlength="36";
        } }
    };
    html! {
        form.row action=(paths::ADMIN_AUDIT) {
            (field("actor", &asked.actor, visit.t("처리자 번호", "Who (an id)")))
            (field("subject", &asked.subject, visit.t("대상 번호", "To what (an id)")))
            button.button.bottomed { (visit.t("찾기", "Find")) }
        }
    }
}

fn row(visit: &Visit, entry: &AuditEntry) -> Vec<Markup> {
    let subject = match entry.action() {
        Action::RoleGranted | Action::RoleRevoked | Action::WalletAdjusted => {
            Some(paths::to(paths::ADMIN_MEMBER, &entry.subject_id))
        }
        Action::OrderCancelled => {
            Some(paths::with(paths::ADMIN_STORY, &[("order", &entry.subject_id)]))
        }
        _ => None,
    };
    vec![
        view::time(visit, entry.create_time.as_ref()),
        html! { (visit.text(done(entry.action()))) },
        html! { a href=(paths::to(paths::ADMIN_MEMBER, &entry.actor_id)) { (console::id(&entry.actor_id)) } },
        html! {
            @if let Some(path) = subject { a href=(path) { (console::id(&entry.subject_id)) } }
            @else { (console::id(&entry.subject_id)) }
        },
        html! { (changed(visit, &entry.change)) },
        html! { (entry.reason) },
    ]
}

/// An amount as money; a number of units or a role as it is.
fn changed(visit: &Visit, change: &str) -> String {
    let won = change.strip_suffix(" KRW").and_then(|won| won.parse().ok());
    won.map_or_else(|| change.to_owned(), |won| view::price(visit, won))
}

fn done(action: Action) -> Text {
    match action {
        Action::Unspecified => ("기타", "Something else"),
        Action::WalletAdjusted => ("지갑 조정", "Adjusted a wallet"),
        Action::DepositMatched => ("입금 반영", "Matched a deposit"),
        Action::DepositRefunded => ("입금 환불", "Refunded a deposit"),
        Action::DepositCredited => ("입금 적립", "Credited a deposit"),
        Action::OrderCancelled => ("주문취소", "Cancelled an order"),
        Action::RoleGranted => ("역할 부여", "Gave a role"),
        Action::RoleRevoked => ("역할 회수", "Took a role back"),
        Action::StockAdjusted => ("재고 조정", "Corrected a stock"),
        Action::RefundRetried => ("환불 재시도", "Asked again for a refund"),
        Action::RefundSettled => ("환불 직접 처리", "Settled a refund"),
    }
}
