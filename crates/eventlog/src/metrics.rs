//! How far logs have come, and the consumers of this process in them.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, SystemTime},
};

use prometheus_client::encoding::EncodeLabelSet;
use telemetry::{
    CALL_BUCKETS, Counters, Gauges, Histograms, Seconds, counters, durations, gauges, histograms,
    sample, seconds,
};

use super::checkpoint::Owner;

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    consumer: &'static str,
    source: &'static str,
}

impl From<Owner> for Labels {
    fn from(Owner { consumer, source }: Owner) -> Self {
        Self { consumer, source }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Log {
    source: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Appended {
    source: String,
    event_type: &'static str,
}

const DELAY_BUCKETS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
const SIZE_BUCKETS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0];

static LOG_HEAD: LazyLock<Gauges<Log>> =
    LazyLock::new(|| gauges("hansang.log.head", "Last position of a service's log"));
static APPENDED: LazyLock<Counters<Appended>> =
    LazyLock::new(|| counters("hansang.events", "Events that were committed here"));
static POSITION: LazyLock<Gauges<Labels>> =
    LazyLock::new(|| gauges("hansang.consumer.position", "Last position applied of the log"));
static HEAD: LazyLock<Gauges<Labels>> =
    LazyLock::new(|| gauges("hansang.consumer.head", "Last position heard of, of the log"));
static ACTIVE: LazyLock<Gauges<Labels>> = LazyLock::new(|| {
    let help = "1 where a consumer runs; 0 where it only stands by";
    gauges("hansang.consumer.active", help)
});
static PARKED: LazyLock<Gauges<Labels>> =
    LazyLock::new(|| gauges("hansang.consumer.parked", "Events parked until an operator acts"));
static LOST: LazyLock<Gauges<Labels>> = LazyLock::new(|| {
    let help = "Partitions stopped because the source has lost events that were applied here";
    gauges("hansang.consumer.lost_partitions", help)
});
static DELAY: LazyLock<Histograms<Labels>> = LazyLock::new(|| {
    durations("hansang.consumer.delay", "From an event's time to its effect", DELAY_BUCKETS)
});
static BATCH: LazyLock<Histograms<Labels>> = LazyLock::new(|| {
    histograms("hansang.consumer.batch.size", "Events applied in one go", SIZE_BUCKETS)
});
static APPLYING: LazyLock<Histograms<Labels>> = LazyLock::new(|| {
    durations("hansang.consumer.batch.duration", "Time to apply a batch", CALL_BUCKETS)
});

/// The time of the oldest event that has arrived and is not applied, by consumer.
static WAITING: LazyLock<Mutex<HashMap<Labels, Option<SystemTime>>>> = LazyLock::new(|| {
    let lag: Seconds<Labels> =
        seconds("hansang.consumer.lag", "Age of the oldest event that waits to be applied");
    sample(move || {
        for (labels, since) in &*WAITING.lock().unwrap_or_else(PoisonError::into_inner) {
            let age = since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
            lag.get_or_create(labels).set(age.as_secs_f64());
        }
    });
    Mutex::default()
});

/// A log's last position.
pub(super) fn log_head(source: &str, position: i64) {
    LOG_HEAD.get_or_create(&Log { source: source.to_owned() }).set(position);
}

/// Events of a service were committed.
pub(super) fn appended(source: &str, kinds: &[&'static str]) {
    for event_type in kinds.iter().copied() {
        APPENDED.get_or_create(&Appended { source: source.to_owned(), event_type }).inc();
    }
}

/// Whether a consumer runs here. Where it does not, nothing waits, and what is set aside is others'
/// to tell.
pub(super) fn active(owner: Owner, is: bool) {
    let labels = owner.into();
    ACTIVE.get_or_create(&labels).set(is.into());
    if !is {
        PARKED.remove(&labels);
        LOST.remove(&labels);
        WAITING.lock().unwrap_or_else(PoisonError::into_inner).insert(labels, None);
    }
}

/// An event has arrived; the first of those that wait is the oldest.
pub(super) fn arrived(owner: Owner, occurred: SystemTime) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    waiting.entry(owner.into()).or_default().get_or_insert(occurred);
}

/// A batch has been applied, of events of these times; nothing waits any more.
pub(super) fn batch(owner: Owner, took: Duration, occurred: impl Iterator<Item = SystemTime>) {
    let labels = owner.into();
    let mut size = 0_u32;
    for occurred in occurred {
        size += 1;
        DELAY.took(&labels, occurred.elapsed().unwrap_or_default());
    }
    if size > 0 {
        BATCH.observe(&labels, size.into());
        APPLYING.took(&labels, took);
    }
    WAITING.lock().unwrap_or_else(PoisonError::into_inner).insert(labels, None);
}

pub(super) fn applied(owner: Owner, position: i64) {
    POSITION.get_or_create(&owner.into()).set(position);
    head(owner, position);
}

pub(super) fn head(owner: Owner, position: i64) {
    HEAD.get_or_create(&owner.into()).inner().fetch_max(position, Ordering::Relaxed);
}

pub(super) fn parked(owner: Owner, count: i64) {
    PARKED.get_or_create(&owner.into()).set(count);
}

pub(super) fn lost(owner: Owner, partitions: usize) {
    LOST.get_or_create(&owner.into()).set(i64::try_from(partitions).unwrap_or(i64::MAX));
}
