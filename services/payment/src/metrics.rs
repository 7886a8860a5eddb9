//! What of payments is counted, once it is committed.

use std::sync::LazyLock;

use base::Money;
use telemetry::Counters;

use crate::domain::{Outcome, Payment};

type Two = [(&'static str, &'static str); 2];

static PAYMENTS: LazyLock<Counters<Two>> =
    LazyLock::new(|| telemetry::counters("hansang.payments", "What became of payments"));
static WON: LazyLock<Counters<Two>> =
    LazyLock::new(|| telemetry::counters("hansang.payments.won", "The same, in won"));

/// What is counted of an outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    labels: Two,
    amount: Money,
}

impl Counted {
    pub(crate) fn of(payment: &Payment, outcome: &Outcome) -> Self {
        let (outcome, amount) = match outcome {
            Outcome::DepositRequested => ("deposit_requested", payment.amount),
            Outcome::Approved => ("approved", payment.amount),
            Outcome::Declined => ("declined", payment.amount),
            Outcome::Cancelled(amount) => ("cancelled", *amount),
            Outcome::Expired => ("expired", payment.amount),
            Outcome::Voided => ("voided", payment.amount),
        };
        let method = payment.method.name();
        Self { labels: [("payment_method", method), ("outcome", outcome)], amount }
    }

    /// Counts it.
    pub(crate) fn count(self) {
        PAYMENTS.get_or_create(&self.labels).inc();
        let won = u64::try_from(self.amount.minor()).unwrap_or_default();
        WON.get_or_create(&self.labels).inc_by(won);
    }
}
