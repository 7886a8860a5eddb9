//! What payment has to do later, whatever dies meanwhile. Says when; `worker` does it.

use std::time::{Duration, SystemTime};

use base::{Error, id::Uuid};
use pg::{
    Tx,
    task::{self, Due, Plan},
};

use crate::{
    acquirer::Refunded,
    domain::{
        Method, OrderId, Outcome, Payment,
        payout::PayoutId,
        refund::{Refund, RefundId},
        wallet::TopUpId,
    },
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
        Outcome::Voided => Some(Kind::Refund),
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

/// Has a top-up's charge refunded.
pub(crate) async fn refund_top_up(tx: &mut Tx, id: TopUpId) -> Result<(), Error> {
    task::schedule(tx, REFUND_TOP_UP, id.0, Due::After(Duration::ZERO), &[]).await
}

/// Has a top-up looked up that was not charged: it may have been after all.
pub(crate) async fn look_up_top_up(tx: &mut Tx, id: TopUpId, after: Duration) -> Result<(), Error> {
    task::schedule(tx, LOOK_UP_TOP_UP, id.0, Due::After(after), &[]).await
}

/// Has the charge of an order looked up that was not made.
pub(crate) async fn look_up(tx: &mut Tx, id: OrderId, after: Duration) -> Result<(), Error> {
    task::schedule(tx, LOOK_UP, id.0, Due::After(after), &[]).await
}

/// Fails when a refund was refused, so that it is tried again.
pub(crate) fn insist(what: &str, id: Uuid, refunded: Refunded) -> Result<(), Error> {
    match refunded {
        Refunded::Done => Ok(()),
        Refunded::Refused(code) => {
            let detail = format!("the acquirer refuses to refund {what} {id}: {code}");
            Err(Error::unavailable("REFUND_REFUSED", detail))
        }
    }
}
