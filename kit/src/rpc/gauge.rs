//! What the way to an upstream looks like from here, for Prometheus.

use std::sync::{LazyLock, atomic::AtomicI64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
};

use super::Class;
use crate::telemetry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Upstream {
    upstream: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Breaker {
    upstream: &'static str,
    class: &'static str,
}

static CONNECTIONS: LazyLock<Family<Upstream, Gauge<i64, AtomicI64>>> = LazyLock::new(|| {
    let family = Family::<Upstream, Gauge>::default();
    let copy = family.clone();
    telemetry::register(|all| {
        all.register("hansang_rpc_connections", "Open connections to an upstream", copy);
    });
    family
});

static BREAKERS: LazyLock<Family<Breaker, Gauge<i64, AtomicI64>>> = LazyLock::new(|| {
    let family = Family::<Breaker, Gauge>::default();
    let copy = family.clone();
    let help = "State of an upstream's breaker: 0 closed, 1 half-open, 2 open";
    telemetry::register(|all| all.register("hansang_rpc_breaker_state", help, copy));
    family
});

pub(super) fn connected(upstream: &'static str) {
    CONNECTIONS.get_or_create(&Upstream { upstream }).inc();
}

pub(super) fn disconnected(upstream: &'static str) {
    CONNECTIONS.get_or_create(&Upstream { upstream }).dec();
}

/// 0 is closed, 1 half-open, 2 open. Where several callers of a process have a breaker for the same
/// upstream, the last change shows.
pub(super) fn breaker(upstream: &'static str, class: Class, state: i64) {
    BREAKERS.get_or_create(&Breaker { upstream, class: class.name() }).set(state);
}
