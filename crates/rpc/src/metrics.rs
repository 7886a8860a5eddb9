//! What the way to an upstream looks like from here.

use std::sync::LazyLock;

use prometheus_client::{encoding::EncodeLabelSet, metrics::gauge::Gauge};
use telemetry::{Counters, Gauges, counters, gauges};

use super::Class;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Upstream {
    upstream: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Breaker {
    upstream: &'static str,
    class: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Refused {
    upstream: &'static str,
    reason: &'static str,
}

static CONNECTIONS: LazyLock<Gauges<Upstream>> =
    LazyLock::new(|| gauges("hansang.rpc.connections", "Open connections to an upstream"));
static EJECTED: LazyLock<Gauges<Upstream>> = LazyLock::new(|| {
    let help = "Connections to an upstream's endpoints that could not be made: they get no calls";
    gauges("hansang.rpc.ejected", help)
});
static ACTIVE: LazyLock<Gauges<Upstream>> =
    LazyLock::new(|| gauges("hansang.rpc.active", "Calls to an upstream under way"));
static TOKENS: LazyLock<Gauges<Upstream>> =
    LazyLock::new(|| gauges("hansang.rpc.retry.tokens", "Retries that an upstream may still get"));
static RETRIES: LazyLock<Counters<Upstream>> =
    LazyLock::new(|| counters("hansang.rpc.retries", "Calls that were tried again"));
static REFUSED: LazyLock<Counters<Refused>> =
    LazyLock::new(|| counters("hansang.rpc.refused", "Calls that did not leave this process"));
static BREAKERS: LazyLock<Gauges<Breaker>> = LazyLock::new(|| {
    let help = "State of an upstream's breaker: 0 closed, 1 half-open, 2 open";
    gauges("hansang.rpc.breaker.state", help)
});

/// Has an upstream shown with zeros before anything happens.
pub(super) fn known(upstream: &'static str, tokens: i64) {
    tokens_left(upstream, tokens);
    let labels = Upstream { upstream };
    for family in [&CONNECTIONS, &EJECTED, &ACTIVE] {
        drop(family.get_or_create(&labels));
    }
    drop(RETRIES.get_or_create(&labels));
    for reason in ["breaker", "concurrency"] {
        drop(REFUSED.get_or_create(&Refused { upstream, reason }));
    }
}

pub(super) fn connected(upstream: &'static str) {
    CONNECTIONS.get_or_create(&Upstream { upstream }).inc();
}

pub(super) fn disconnected(upstream: &'static str) {
    CONNECTIONS.get_or_create(&Upstream { upstream }).dec();
}

/// One more of what a gauge counts, until dropped.
pub(super) struct One(Gauge);

impl One {
    pub(super) fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A connection that could not be made.
pub(super) fn ejected(upstream: &'static str) -> One {
    One::of(&EJECTED.get_or_create(&Upstream { upstream }))
}

/// What counts calls under way.
pub(super) fn active(upstream: &'static str) -> Gauge {
    ACTIVE.get_or_create(&Upstream { upstream }).clone()
}

pub(super) fn retried(upstream: &'static str) {
    RETRIES.get_or_create(&Upstream { upstream }).inc();
}

/// Where several callers of a process have a budget for the same upstream, the last change shows.
pub(super) fn tokens_left(upstream: &'static str, tokens: i64) {
    TOKENS.get_or_create(&Upstream { upstream }).set(tokens);
}

pub(super) fn refused(upstream: &'static str, reason: &'static str) {
    REFUSED.get_or_create(&Refused { upstream, reason }).inc();
}

/// 0 is closed, 1 half-open, 2 open. Where several callers of a process have a breaker for the same
/// upstream, the last change shows.
pub(super) fn breaker(upstream: &'static str, class: Class, state: i64) {
    BREAKERS.get_or_create(&Breaker { upstream, class: class.name() }).set(state);
}
