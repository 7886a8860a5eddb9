//! What of points is counted, once it is committed.

use std::sync::LazyLock;

use telemetry::Counters;

use crate::domain::{Outcome, Points};

type One = [(&'static str, &'static str); 1];

static POINTS: LazyLock<Counters<One>> = LazyLock::new(|| {
    telemetry::counters("hansang.mileage.points", "Points earned, and taken back")
});

/// Points were earned or taken back.
pub(crate) fn changed(outcome: Outcome, points: Points) {
    let outcome = match outcome {
        Outcome::Earned => "earned",
        Outcome::Cancelled => "cancelled",
        Outcome::Refused | Outcome::Unchanged => return,
    };
    let points = u64::try_from(points.get()).unwrap_or_default();
    POINTS.get_or_create(&[("outcome", outcome)]).inc_by(points);
}
