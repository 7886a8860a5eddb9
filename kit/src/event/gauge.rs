//! How far the consumers of this process are, for Prometheus.

use std::sync::{LazyLock, atomic::AtomicI64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

use super::checkpoint::Owner;
use crate::telemetry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    consumer: &'static str,
    source: &'static str,
}

type Gauges = Family<Labels, Gauge<i64, AtomicI64>>;

static POSITION: LazyLock<Gauges> =
    LazyLock::new(|| registered("position", "Last position applied of the source's log"));
static HEAD: LazyLock<Gauges> =
    LazyLock::new(|| registered("head", "Last position heard of, of the source's log"));
static PARKED: LazyLock<Gauges> =
    LazyLock::new(|| registered("parked", "Events set aside for an operator"));

fn registered(name: &str, help: &str) -> Gauges {
    let gauges = Gauges::default();
    let copy = gauges.clone();
    telemetry::register(|all| all.register(format!("hansang_consumer_{name}"), help, copy));
    gauges
}

fn of(gauges: &Gauges, owner: Owner) -> Gauge {
    let labels = Labels { consumer: owner.consumer, source: owner.source };
    gauges.get_or_create(&labels).clone()
}

pub(super) fn applied(owner: Owner, position: i64) {
    of(&POSITION, owner).set(position);
    head(owner, position);
}

pub(super) fn head(owner: Owner, position: i64) {
    of(&HEAD, owner).inner().fetch_max(position, std::sync::atomic::Ordering::Relaxed);
}

pub(super) fn parked(owner: Owner, count: i64) {
    of(&PARKED, owner).set(count);
}

pub(super) fn one_more_parked(owner: Owner) {
    of(&PARKED, owner).inc();
}

pub(super) fn fewer_parked(owner: Owner, count: usize) {
    of(&PARKED, owner).dec_by(i64::try_from(count).unwrap_or(i64::MAX));
}
