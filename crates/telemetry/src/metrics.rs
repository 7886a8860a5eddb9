//! The process's metrics: one registry, with the names of OpenTelemetry's semantic
//! conventions. Prometheus gets them with underscores and units. Labels are what
//! there are few of; never ids, never what a client made up.

use std::{
    collections::HashMap,
    fmt::{Debug, Write as _},
    hash::Hash,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header};
use opentelemetry::trace::{SpanId, TraceId};
use prometheus_client::{
    encoding::{
        EncodeLabelSet, LabelSetEncoder,
        prometheus_protobuf::{self, prometheus_data_model::MetricFamily},
    },
    metrics::{
        counter::Counter,
        exemplar::HistogramWithExemplars,
        family::{Family, MetricConstructor},
        gauge::Gauge,
    },
    registry::{Metric, Registry, Unit},
};
use prost::Message;

use super::spans;

/// What a metric is told apart by.
pub trait Labels: Clone + Debug + Hash + Eq + EncodeLabelSet + Send + Sync + 'static {}

impl<T: Clone + Debug + Hash + Eq + EncodeLabelSet + Send + Sync + 'static> Labels for T {}

/// What only grows.
pub type Counters<L> = Family<L, Counter>;
/// What goes up and down.
pub type Gauges<L> = Family<L, Gauge>;
/// The same in seconds.
pub type Seconds<L> = Family<L, Gauge<f64, AtomicU64>>;

/// Seconds that a call may take.
pub const CALL_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What is spread; with the trace of a recent case for each bucket.
#[derive(Clone, Debug)]
pub struct Histograms<L>(Family<L, HistogramWithExemplars<Ids>, Buckets>);

#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<HistogramWithExemplars<Ids>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<Ids> {
        HistogramWithExemplars::new(self.0.iter().copied())
    }
}

impl<L: Labels> Histograms<L> {
    /// Notes one duration; call it within the span, whose trace is then its example.
    pub fn took(&self, labels: &L, duration: Duration) {
        self.observe(labels, duration.as_secs_f64());
    }

    /// Notes one case.
    pub fn observe(&self, labels: &L, value: f64) {
        let span = spans::current();
        let ids = span.is_sampled().then(|| Ids { trace: span.trace_id(), span: span.span_id() });
        let now = ids.as_ref().map(|_| SystemTime::now());
        self.0.get_or_create(labels).observe(value, ids, now);
    }
}

/// Where an example is to be found.
#[derive(Clone, Debug)]
struct Ids {
    trace: TraceId,
    span: SpanId,
}

impl EncodeLabelSet for Ids {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let ids = [("trace_id", self.trace.to_string()), ("span_id", self.span.to_string())];
        ids.encode(encoder)
    }
}

#[derive(Default)]
pub(super) struct Book {
    registry: Registry,
    /// The conventions' names by those of Prometheus.
    names: HashMap<String, &'static str>,
    samplers: Vec<Box<dyn Fn() + Send>>,
}

static BOOK: LazyLock<Mutex<Book>> = LazyLock::new(Mutex::default);

fn book() -> MutexGuard<'static, Book> {
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add<M: Metric + Clone>(name: &'static str, unit: Option<Unit>, help: &str, metric: &M) {
    let mut book = book();
    let plain = name.replace('.', "_");
    let full = unit.as_ref().map_or(plain.clone(), |unit| format!("{plain}_{}", unit.as_str()));
    book.names.insert(full, name);
    match unit {
        Some(unit) => book.registry.register_with_unit(plain, help, unit, metric.clone()),
        None => book.registry.register(plain, help, metric.clone()),
    }
}

/// Registers counters: `hansang.rpc.retries`.
pub fn counters<L: Labels>(name: &'static str, help: &str) -> Counters<L> {
    let family = Counters::default();
    add(name, None, help, &family);
    family
}

/// Registers counters of seconds.
pub(super) fn counted_seconds<L: Labels>(
    name: &'static str,
    help: &str,
) -> Family<L, Counter<f64, AtomicU64>> {
    let family = Family::default();
    add(name, Some(Unit::Seconds), help, &family);
    family
}

/// Registers gauges.
pub fn gauges<L: Labels>(name: &'static str, help: &str) -> Gauges<L> {
    let family = Gauges::default();
    add(name, None, help, &family);
    family
}

/// Registers gauges of bytes.
pub(super) fn bytes<L: Labels>(name: &'static str, help: &str) -> Gauges<L> {
    let family = Gauges::default();
    add(name, Some(Unit::Bytes), help, &family);
    family
}

/// Registers gauges of seconds.
pub fn seconds<L: Labels>(name: &'static str, help: &str) -> Seconds<L> {
    let family = Seconds::default();
    add(name, Some(Unit::Seconds), help, &family);
    family
}

/// Registers histograms of seconds.
pub fn durations<L: Labels>(
    name: &'static str,
    help: &str,
    buckets: &'static [f64],
) -> Histograms<L> {
    let family = Family::new_with_constructor(Buckets(buckets));
    add(name, Some(Unit::Seconds), help, &family);
    Histograms(family)
}

/// Registers histograms of numbers.
pub fn histograms<L: Labels>(
    name: &'static str,
    help: &str,
    buckets: &'static [f64],
) -> Histograms<L> {
    let family = Family::new_with_constructor(Buckets(buckets));
    add(name, None, help, &family);
    Histograms(family)
}

/// Has something looked at whenever metrics are read; it must be quick, and register nothing.
pub fn sample(look: impl Fn() + Send + 'static) {
    book().samplers.push(Box::new(look));
}

/// All metrics in the `OpenMetrics` text format.
pub fn metrics() -> String {
    let mut text = String::new();
    let book = book();
    book.samplers.iter().for_each(|look| look());
    // Writing to a string cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &book.registry);
    text
}

/// All metrics as messages of Prometheus.
pub(super) fn families() -> Vec<MetricFamily> {
    let book = book();
    book.samplers.iter().for_each(|look| look());
    // It fails only where a label does, and none of ours does.
    prometheus_protobuf::encode(&book.registry).unwrap_or_default()
}

/// The media type of metrics in protobuf, each message after its length.
pub const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics in the format that a request asks for, after its media type: the `OpenMetrics` text, which
/// has exemplars, protobuf, or else the older text format.
pub fn exposition(asked: &HeaderMap) -> (&'static str, Vec<u8>) {
    if accepts(asked, "application/openmetrics-text") {
        return (OPEN_METRICS, metrics().into_bytes());
    }
    if accepts(asked, "application/vnd.google.protobuf") {
        let families = families();
        return (
            PROTOBUF,
            families.iter().flat_map(Message::encode_length_delimited_to_vec).collect(),
        );
    }
    (PLAIN, plain_metrics().into_bytes())
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    accepted.any(|kinds| kinds.to_str().is_ok_and(|kinds| kinds.contains(kind)))
}

/// What a metric is called in the conventions, by its name in Prometheus.
pub(super) fn conventional(name: &str) -> Option<&'static str> {
    book().names.get(name).copied()
}

/// All metrics in the older text format of Prometheus: counters have their suffix in what is said
/// of them too, and there are neither units nor exemplars.
pub(super) fn plain_metrics() -> String {
    let text = metrics();
    let counter = |name: &str| text.contains(&format!("# TYPE {name} counter\n"));
    let mut plain = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF" | "UNIT"), ..) => {}
            (Some("#"), Some(word), Some(name), Some(rest)) => {
                let suffix = if counter(name) { "_total" } else { "" };
                let _ = writeln!(plain, "# {word} {name}{suffix} {rest}");
            }
            _ => {
                let sample = line.split_once(" # {").map_or(line, |(sample, _)| sample);
                let _ = writeln!(plain, "{sample}");
            }
        }
    }
    plain
}
