//! What of orders is counted, once it is committed.

use std::{sync::LazyLock, time::SystemTime};

use base::Error;
use pg::Database;
use telemetry::{Counters, Gauges, Histograms};

use crate::{
    domain::{Order, State},
    store, wire,
};

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// From milliseconds, for what needs nobody, to the days of a bank transfer.
const BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 86_400.0];

/// Orders of a state that are counted, at most: a look costs the same however many there are.
const MOST: i64 = 1_000;

static TOOK: LazyLock<Histograms<Two>> = LazyLock::new(|| {
    let help = "From an order's beginning to a state that others are told of";
    telemetry::durations("hansang.order.reached", help, BUCKETS)
});
static PLACED: LazyLock<Counters<One>> =
    LazyLock::new(|| telemetry::counters("hansang.order.placed.won", "What was ordered, in won"));
static CANCELLED: LazyLock<Counters<One>> =
    LazyLock::new(|| telemetry::counters("hansang.order.cancelled", "Orders cancelled, by reason"));
static IN_PROGRESS: LazyLock<Gauges<One>> = LazyLock::new(|| {
    let help =
        "Orders that have neither been closed nor cancelled, by state; 1,000 is that or more";
    telemetry::gauges("hansang.order.in_progress", help)
});

/// An order that was made at `created` has reached a state.
pub(crate) fn reached(order: &Order, state: State, created: SystemTime) {
    let method = ("payment_method", order.method.name());
    let took = created.elapsed().unwrap_or_default();
    TOOK.took(&[method, ("order_state", wire::state_name(state))], took);
    match state {
        State::Placed => {
            let won = u64::try_from(order.total.minor()).unwrap_or_default();
            PLACED.get_or_create(&[method]).inc_by(won);
        }
        State::Cancelled(reason) => {
            let reason = ("cancel_reason", reason.name());
            CANCELLED.get_or_create(&[reason]).inc();
        }
        _ => {}
    }
}

/// Looks how many orders are on their way.
pub(crate) async fn measure(database: Database) -> Result<(), Error> {
    let found = store::in_progress(&mut database.read().await?, MOST).await?;
    for (state, orders) in found {
        IN_PROGRESS.get_or_create(&[("order_state", state)]).set(orders);
    }
    Ok(())
}
