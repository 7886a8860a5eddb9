//! What payment has to do later, whatever dies meanwhile. Says when; `worker` does it.

use std::time::{Duration, SystemTime};

use kit::{
    Error, Tx,
    task::{self, Due, Plan},
};

use crate::domain::{Method, OrderId, Outcome, Payment};

/// Something to be done about an order's payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ask the acquirer to forget a charge whose outcome nobody waits for any more.
    Abandon,
    /// Repeat the call to product until it is definite.
    Confirm,
    /// Stop waiting for a deposit, then.
    Expire(SystemTime),
    /// Give the money on a card back.
    Refund,
}

impl Kind {
    /// Its name in the table of tasks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Abandon => "abandon-charge",
            Self::Confirm => "confirm-deposit",
            Self::Expire(_) => "expire-deposit",
            Self::Refund => "refund-card",
        }
    }
}

/// What an outcome leaves to be done.
pub(crate) fn after(payment: &Payment, outcome: &Outcome) -> Option<Kind> {
    match outcome {
        Outcome::DepositRequested => payment.deposit_due.map(Kind::Expire),
        Outcome::Cancelled(_) if payment.method == Method::Card => Some(Kind::Refund),
        Outcome::Voided => Some(Kind::Refund),
        Outcome::Approved | Outcome::Declined | Outcome::Cancelled(_) | Outcome::Expired => None,
    }
}

/// Has all of it done once `tx` has committed: an expiry when it is due, the rest at once.
pub(crate) async fn schedule(tx: &mut Tx, tasks: &[(OrderId, Kind)]) -> Result<(), Error> {
    let plan = |(order, kind): &(OrderId, Kind)| {
        let due = match kind {
            Kind::Expire(at) => Due::At(*at),
            Kind::Abandon | Kind::Confirm | Kind::Refund => Due::After(Duration::ZERO),
        };
        Plan { kind: kind.name(), key: order.0, due }
    };
    task::schedule_all(tx, &tasks.iter().map(plan).collect::<Vec<_>>()).await
}

/// Has it done after a call that may take this long has had its chance.
pub(crate) async fn schedule_after(
    tx: &mut Tx,
    order: OrderId,
    kind: Kind,
    deadline: Duration,
) -> Result<(), Error> {
    task::schedule(tx, kind.name(), order.0, Due::After(deadline * 2), &[]).await
}

/// It is not needed any more.
pub(crate) async fn remove(tx: &mut Tx, order: OrderId, kind: Kind) -> Result<(), Error> {
    task::remove(tx, kind.name(), order.0).await
}
