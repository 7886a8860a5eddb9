//! What payment has to do later, whatever dies meanwhile. Says when; `worker` does it.

use std::time::{Duration, SystemTime};

use base::Error;
use pg::{
    Tx,
    task::{self, Due, Plan},
};

use crate::domain::{Method, OrderId, Outcome, Payment};

/// Has a charge forgotten whose outcome nobody waits for any more.
pub(crate) const ABANDON: &str = "abandon-charge";
/// Repeats the call to product until it is definite.
pub(crate) const CONFIRM: &str = "confirm-deposit";
/// Stops waiting for a deposit.
pub(crate) const EXPIRE: &str = "expire-deposit";
/// Gives the money on a card back.
pub(crate) const REFUND: &str = "refund-card";

/// Something to be done about an order's payment once an outcome is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Stop waiting for a deposit, then.
    Expire(SystemTime),
    /// Give the money on a card back.
    Refund,
}

impl Kind {
    /// Its name in the table of tasks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Expire(_) => EXPIRE,
            Self::Refund => REFUND,
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
            Kind::Refund => Due::After(Duration::ZERO),
        };
        Plan { kind: kind.name(), key: order.0, due }
    };
    task::schedule_all(tx, &tasks.iter().map(plan).collect::<Vec<_>>()).await
}
