//! What payment has to do later, whatever dies meanwhile. Says when; `worker` does it.

use std::time::{Duration, SystemTime};

use base::{Error, id::Uuid};
use pg::{
    Tx,
    task::{self, Due, Plan, Task},
};

use crate::domain::{
    Method, OrderId, Outcome, Payment,
    payout::PayoutId,
    refund::{Of, Refund, RefundId},
    wallet::TopUpId,
};

/// Has a charge forgotten whose outcome nobody waits for any more.
pub(crate) const ABANDON: &str = "abandon-charge";
/// Asks once more what became of a charge that was not made.
pub(crate) const LOOK_UP: &str = "look-up-charge";
/// The same three of a top-up.
pub(crate) const ABANDON_TOP_UP: &str = "abandon-top-up";
pub(crate) const LOOK_UP_TOP_UP: &str = "look-up-top-up";
pub(crate) const REFUND_TOP_UP: &str = "refund-top-up";
/// Asks the bank to send a payout.
pub(crate) const PAY_OUT: &str = "send-payout";
/// Repeats the call to product until it is definite.
pub(crate) const CONFIRM: &str = "confirm-deposit";
/// Stops waiting for a deposit.
pub(crate) const EXPIRE: &str = "expire-deposit";
/// Gives the money on a card back: all that is left of it, or a part.
pub(crate) const REFUND: &str = "refund-card";
pub(crate) const REFUND_PART: &str = "refund-card-part";

/// Something to be done about an order's payment once an outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stop waiting for a deposit, then.
    Expire(SystemTime),
    /// Give the money on a card back.
    Refund,
    /// Give so much of it back.
    RefundPart(RefundId),
}

impl Kind {
    /// Its name in the table of tasks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Expire(_) => EXPIRE,
            Self::Refund => REFUND,
            Self::RefundPart(_) => REFUND_PART,
        }
    }
}

/// What an outcome leaves to be done.
pub(crate) fn after(payment: &Payment, outcome: &Outcome, refunds: &[Refund]) -> Vec<Kind> {
    let kind = match outcome {
        Outcome::DepositRequested => payment.deposit_due.map(Kind::Expire),
        Outcome::Cancelled(Some(_)) if payment.method == Method::Card => Some(Kind::Refund),
        Outcome::Voided(_) => Some(Kind::Refund),
        Outcome::PartRefunded { .. } => {
            let cards = refunds.iter().filter(|it| it.tender == Method::Card);
            return cards.map(|it| Kind::RefundPart(it.id)).collect();
        }
        Outcome::Approved
        | Outcome::Declined
        | Outcome::Cancelled(_)
        | Outcome::Expired
        | Outcome::Reserved
        | Outcome::Released
        | Outcome::Reduced { .. }
        | Outcome::WalletRefunded(_) => None,
    };
    kind.into_iter().collect()
}

/// Has all of it done once `tx` has committed: an expiry when it is due, the rest at once.
pub(crate) async fn schedule(tx: &mut Tx, tasks: &[(OrderId, Kind)]) -> Result<(), Error> {
    let plan = |(order, kind): &(OrderId, Kind)| {
        let (key, due) = match kind {
            Kind::Expire(at) => (order.0, Due::At(*at)),
            Kind::Refund => (order.0, Due::After(Duration::ZERO)),
            Kind::RefundPart(id) => (id.0, Due::After(Duration::ZERO)),
        };
        Plan { kind: kind.name(), key, due }
    };
    task::schedule_all(tx, &tasks.iter().map(plan).collect::<Vec<_>>()).await
}

/// Has product asked for the goods of a deposit that is complete, once `tx` has committed.
pub(crate) async fn confirm(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    task::schedule(tx, CONFIRM, order.0, Due::After(Duration::ZERO), &[]).await
}

/// Has a payout sent once `tx` has committed.
pub(crate) async fn send_payout(tx: &mut Tx, id: PayoutId) -> Result<(), Error> {
    task::schedule(tx, PAY_OUT, id.0, Due::After(Duration::ZERO), &[]).await
}

/// Has the acquirer asked for a refund once `tx` has committed.
pub(crate) async fn give_back(tx: &mut Tx, refund: &Refund) -> Result<(), Error> {
    let (kind, key) = of_refund(refund);
    task::schedule(tx, kind, key, Due::After(Duration::ZERO), &[]).await
}

/// Has the acquirer not asked for a refund any more.
pub(crate) async fn forget_refund(tx: &mut Tx, refund: &Refund) -> Result<(), Error> {
    let (kind, key) = of_refund(refund);
    task::remove(tx, kind, key).await
}

fn of_refund(refund: &Refund) -> (&'static str, Uuid) {
    match (refund.part, refund.of) {
        (Some(_), _) => (REFUND_PART, refund.id.0),
        (None, Of::Payment(order) | Of::Charge(order)) => (REFUND, order.0),
        (None, Of::TopUp(top_up)) => (REFUND_TOP_UP, top_up.0),
    }
}

/// When a charge is looked up that was not made, as the acquirer says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Look {
    /// Soon, and once more later.
    First,
    /// So much later, for the last time.
    Last(Duration),
}

/// What a task of the first look has with it.
const FIRST: &[u8] = b"first";

/// Whether a task is of the first look.
pub(crate) fn is_first(task: &Task) -> bool {
    task.payload == FIRST
}

/// Has a top-up looked up that was not charged: it may have been after all.
pub(crate) async fn look_up_top_up(tx: &mut Tx, id: TopUpId, look: Look) -> Result<(), Error> {
    look_up_later(tx, LOOK_UP_TOP_UP, id.0, look).await
}

/// Has the charge of an order looked up that was not made.
pub(crate) async fn look_up(tx: &mut Tx, id: OrderId, look: Look) -> Result<(), Error> {
    look_up_later(tx, LOOK_UP, id.0, look).await
}

async fn look_up_later(tx: &mut Tx, kind: &str, key: Uuid, look: Look) -> Result<(), Error> {
    let (after, payload) = match look {
        Look::First => (Duration::ZERO, FIRST),
        Look::Last(after) => (after, &[][..]),
    };
    task::schedule(tx, kind, key, Due::After(after), payload).await
}
