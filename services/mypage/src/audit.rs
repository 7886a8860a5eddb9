//! What people of the shop did by hand, as the events of the other services say: who, to what, and
//! why.

use base::{Error, id::Uuid};
use contracts::{
    member::v1::{MemberEvent, Role, member_event},
    mypage::v1::{
        self as pb, ListAuditEntriesRequest, ListAuditEntriesResponse, audit_entry::Action,
        audit_service_server::AuditService,
    },
    order::v1::{OrderEvent, order_event},
    payment::v1::{PaymentEvent, payment_event},
    product::v1::{ProductEvent, product_event},
};
use eventlog::Arrived;
use pg::Database;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::store::audit::{self, Entry};

/// Answers calls about what was done.
pub(crate) struct Audit {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl AuditService for Audit {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let filter = |field: &str, id: &str| {
            (!id.is_empty()).then(|| base::id::parse(field, id)).transpose()
        };
        let actor = filter("actorId", &message.actor_id)?;
        let subject = filter("subjectId", &message.subject_id)?;
        let mut reader = self.database.read().await?;
        let entries = audit::list(&mut reader, actor, subject, page).await?;
        let (entries, next_page_token) =
            page.cut(entries.iter().map(|entry| (entry.id, render(entry))));
        Ok(Response::new(ListAuditEntriesResponse { entries, next_page_token }))
    }
}

fn render(entry: &Entry) -> pb::AuditEntry {
    pb::AuditEntry {
        id: entry.id.to_string(),
        actor_id: entry.actor.to_string(),
        action: Action::from_str_name(&entry.action).unwrap_or_default().into(),
        subject_id: entry.subject.to_string(),
        reason: entry.reason.clone(),
        create_time: Some(entry.create_time.into()),
        change: entry.change.clone(),
    }
}

/// What an event says that somebody did.
struct Done<'a> {
    action: Action,
    actor: &'a str,
    subject: &'a str,
    reason: &'a str,
    change: String,
}

/// The entry of an event; none where nobody in particular did it.
fn entry<M>(arrived: &Arrived<M>, done: &Done<'_>) -> Result<Option<Entry>, Error> {
    if done.actor.is_empty() {
        return Ok(None);
    }
    Ok(Some(Entry {
        id: arrived.event_id,
        actor: base::id::parse("actor_id", done.actor)?,
        action: done.action.as_str_name().to_owned(),
        subject: subject(done.subject)?,
        reason: done.reason.to_owned(),
        change: done.change.clone(),
        create_time: arrived.occurred_at,
    }))
}

fn subject(id: &str) -> Result<Uuid, Error> {
    base::id::parse("subject_id", id)
}

fn won(amount: Option<&contracts::Money>) -> String {
    amount.map(|amount| format!("{} {}", amount.units, amount.currency_code)).unwrap_or_default()
}

/// Of payment's events.
pub(crate) fn of_payment(arrived: &Arrived<PaymentEvent>) -> Result<Option<Entry>, Error> {
    use payment_event::Event;
    let (action, actor, subject, reason, amount) = match &arrived.message.event {
        Some(Event::WalletAdjusted(it)) => {
            (Action::WalletAdjusted, &it.actor_id, &it.member_id, &*it.reason, &it.amount)
        }
        Some(Event::DepositMatched(it)) => {
            (Action::DepositMatched, &it.actor_id, &it.deposit_id, "", &it.amount)
        }
        Some(Event::DepositRefunded(it)) => {
            (Action::DepositRefunded, &it.actor_id, &it.deposit_id, "", &it.amount)
        }
        Some(Event::DepositCredited(it)) => {
            (Action::DepositCredited, &it.actor_id, &it.deposit_id, "", &it.amount)
        }
        Some(Event::RefundRetried(it)) => {
            (Action::RefundRetried, &it.actor_id, &it.refund_id, "", &it.amount)
        }
        Some(Event::RefundSettled(it)) => {
            (Action::RefundSettled, &it.actor_id, &it.refund_id, &*it.reason, &it.amount)
        }
        _ => return Ok(None),
    };
    let change = won(amount.as_ref());
    entry(arrived, &Done { action, actor, subject, reason, change })
}

/// Of order's events.
pub(crate) fn of_order(arrived: &Arrived<OrderEvent>) -> Result<Option<Entry>, Error> {
    let Some(order_event::Event::OrderCancelled(it)) = &arrived.message.event else {
        return Ok(None);
    };
    let (action, change) = (Action::OrderCancelled, String::new());
    let (actor, subject, reason) = (&*it.actor_id, &*it.order_id, &*it.note);
    entry(arrived, &Done { action, actor, subject, reason, change })
}

/// Of member's events.
pub(crate) fn of_member(arrived: &Arrived<MemberEvent>) -> Result<Option<Entry>, Error> {
    use member_event::Event;
    let (action, actor, subject, role) = match &arrived.message.event {
        Some(Event::RoleGranted(it)) => {
            (Action::RoleGranted, &it.actor_id, &it.member_id, it.role())
        }
        Some(Event::RoleRevoked(it)) => {
            (Action::RoleRevoked, &it.actor_id, &it.member_id, it.role())
        }
        _ => return Ok(None),
    };
    let change = Role::as_str_name(&role).to_owned();
    entry(arrived, &Done { action, actor, subject, reason: "", change })
}

/// Of product's events.
pub(crate) fn of_product(arrived: &Arrived<ProductEvent>) -> Result<Option<Entry>, Error> {
    let Some(product_event::Event::StockAdjusted(it)) = &arrived.message.event else {
        return Ok(None);
    };
    let (actor, subject, reason) = (&*it.actor_id, &*it.product_id, &*it.reason);
    let (action, change) = (Action::StockAdjusted, it.delta.to_string());
    entry(arrived, &Done { action, actor, subject, reason, change })
}
