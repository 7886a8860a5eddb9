//! A service's connections, how long they are waited for, and how long
//! transactions take.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use deadpool_postgres::{Pool, WeakPool};
use prometheus_client::encoding::EncodeLabelSet;
use telemetry::{CALL_BUCKETS, Counters, Gauges, Histograms, counters, durations, gauges, sample};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    db_client_connection_pool_name: Arc<str>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InState {
    db_client_connection_pool_name: Arc<str>,
    db_client_connection_state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    db_client_connection_pool_name: Arc<str>,
    outcome: &'static str,
}

/// A connection that is free is there within microseconds.
const WAIT_BUCKETS: &[f64] = &[0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0];

static WAITED: LazyLock<Histograms<Labels>> = LazyLock::new(|| {
    let help = "Time until a connection was there";
    durations("db.client.connection.wait_time", help, WAIT_BUCKETS)
});
static TIMEOUTS: LazyLock<Counters<Labels>> = LazyLock::new(|| {
    counters("db.client.connection.timeouts", "Connections that were not there in time")
});
static TRANSACTIONS: LazyLock<Histograms<Ended>> = LazyLock::new(|| {
    let help = "From a transaction's beginning to its end";
    durations("hansang.db.transaction.duration", help, CALL_BUCKETS)
});

/// The pools of this process, by name.
static POOLS: LazyLock<Mutex<HashMap<Arc<str>, WeakPool>>> = LazyLock::new(|| {
    let count: Gauges<InState> = gauges("db.client.connection.count", "Connections by state");
    let most: Gauges<Labels> = gauges("db.client.connection.max", "Connections allowed");
    let pending: Gauges<Labels> =
        gauges("db.client.connection.pending_requests", "Who waits for a connection");
    sample(move || {
        let pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, pool) in &*pools {
            let Some(pool) = pool.upgrade() else { continue };
            let status = pool.status();
            let used = status.size.saturating_sub(status.available);
            for (state, connections) in [("used", used), ("idle", status.available)] {
                let labels = InState {
                    db_client_connection_pool_name: Arc::clone(name),
                    db_client_connection_state: state,
                };
                count.get_or_create(&labels).set(number(connections));
            }
            let labels = Labels { db_client_connection_pool_name: Arc::clone(name) };
            most.get_or_create(&labels).set(number(status.max_size));
            pending.get_or_create(&labels).set(number(status.waiting));
        }
    });
    Mutex::default()
});

/// Counts for one pool of one service.
#[derive(Clone)]
pub(super) struct Meter {
    service: Arc<str>,
    pool: Labels,
}

impl Meter {
    /// Of the pool for calls, which has the service's name.
    pub(super) fn calls(service: &str, pool: &Pool) -> Self {
        Self::new(service, service.into(), pool)
    }

    /// Of the pool for the work behind them: `order-background`.
    pub(super) fn background(service: &str, pool: &Pool) -> Self {
        Self::new(service, format!("{service}-background").into(), pool)
    }

    fn new(service: &str, name: Arc<str>, pool: &Pool) -> Self {
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        // A second one beside it is for a moment: it seeds, or looks.
        if pools.get(&name).and_then(WeakPool::upgrade).is_none() {
            pools.insert(Arc::clone(&name), pool.weak());
        }
        let labels = Labels { db_client_connection_pool_name: name };
        drop(TIMEOUTS.get_or_create(&labels));
        Self { service: service.into(), pool: labels }
    }

    pub(super) fn service(&self) -> Arc<str> {
        Arc::clone(&self.service)
    }

    /// Somebody has waited for a connection.
    pub(super) fn waited(&self, waited: Duration, got: bool) {
        WAITED.took(&self.pool, waited);
        if !got {
            TIMEOUTS.get_or_create(&self.pool).inc();
        }
    }

    /// A transaction has ended.
    pub(super) fn ended(&self, took: Duration, outcome: &'static str) {
        let name = Arc::clone(&self.pool.db_client_connection_pool_name);
        let labels = Ended { db_client_connection_pool_name: name, outcome };
        TRANSACTIONS.took(&labels, took);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
