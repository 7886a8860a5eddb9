//! What of points is counted, once it is committed.

use std::sync::LazyLock;

use telemetry::Counters;

use crate::domain::{Outcome, Points, account::Kind};

type One = [(&'static str, &'static str); 1];

static POINTS: LazyLock<Counters<One>> = LazyLock::new(|| {
    telemetry::counters("hansang.mileage.points", "Points earned, taken back, spent, and so on")
});

/// Points were earned or taken back; `points` is what they are worth without what parts took back.
pub(crate) fn changed(outcome: Outcome, points: Points) {
    let (outcome, points) = match outcome {
        Outcome::Earned => ("earned", points),
        Outcome::Reduced(less) => ("cancelled", less),
        Outcome::Cancelled => ("cancelled", points),
        Outcome::Refused | Outcome::Unchanged => return,
    };
    let points = u64::try_from(points.get()).unwrap_or_default();
    POINTS.get_or_create(&[("outcome", outcome)]).inc_by(points);
}

/// Points were spent, came back or expired; those that were taken back are counted as they were earned.
pub(crate) fn moved(kind: Kind, points: i64) {
    let outcome = match kind {
        Kind::Spend => "spent",
        Kind::Restore => "restored",
        Kind::Expire => "expired",
        Kind::Revoke => return,
    };
    POINTS.get_or_create(&[("outcome", outcome)]).inc_by(points.unsigned_abs());
}
