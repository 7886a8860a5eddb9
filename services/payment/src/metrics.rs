//! What of payments is counted, once it is committed.

use std::sync::LazyLock;

use base::{Error, Money};
use pg::Database;
use telemetry::{Counters, Gauges};

use crate::{
    domain::{Outcome, Payment},
    store,
};

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

static PAYMENTS: LazyLock<Counters<Two>> =
    LazyLock::new(|| telemetry::counters("hansang.payments", "What became of payments"));
static WON: LazyLock<Counters<Two>> =
    LazyLock::new(|| telemetry::counters("hansang.payments.won", "The same, in won"));

static FAILED: LazyLock<Gauges<One>> = LazyLock::new(|| {
    let help =
        "Refunds that the acquirer refuses, which an operator has to see to; 1,000 is that or more";
    telemetry::gauges("hansang.payments.refunds_failed", help)
});

/// Refunds that are counted, at most: a look costs the same however many there are.
const MOST: i64 = 1_000;

/// Looks how many refunds wait for an operator.
pub(crate) async fn measure(database: Database) -> Result<(), Error> {
    let failed = store::failed(&mut database.read().await?, MOST).await?;
    FAILED.get_or_create(&[("tender", "CARD")]).set(failed);
    Ok(())
}

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
            Outcome::Cancelled(given_back) => {
                ("cancelled", given_back.as_ref().map_or(Money::ZERO, |it| it.amount))
            }
            Outcome::Expired => ("expired", payment.amount),
            Outcome::Voided(_) => ("voided", payment.amount),
            Outcome::Reserved => ("wallet_reserved", payment.wallet),
            Outcome::Released => ("wallet_released", payment.wallet),
            Outcome::WalletRefunded(given_back) => ("wallet_refunded", given_back.amount),
            Outcome::Reduced { .. } => ("deposit_reduced", payment.amount),
            Outcome::PartRefunded { by_method, .. } => {
                ("part_refunded", by_method.as_ref().map_or(Money::ZERO, |it| it.amount))
            }
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
