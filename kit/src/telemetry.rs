//! Logs, traces and metrics, set up once a process.
//!
//! Logs go to stderr, for people or as JSON. Every call runs in a span that
//! continues the caller's W3C trace; events carry that context on. Metrics are
//! for Prometheus, at `/metrics` of the gRPC listener.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::TracerProvider as _,
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    Error,
    config::{LogFormat, TelemetrySettings},
    error::Kind,
};

/// Starts telemetry for this process; the first call counts.
pub fn init(settings: &TelemetrySettings) -> Result<(), Error> {
    let filter = EnvFilter::try_new(&settings.log).map_err(|error| {
        Error::new(Kind::Invalid, "CONFIGURATION", format!("telemetry.log: {error}"))
    })?;
    global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("hansang");
    // Our spans alone: h2, hyper and tonic open one for every frame, which cost the gateway more
    // than all else that it did.
    let ours = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO)
        .with_max_level_hint(Level::INFO);
    let traces = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours);
    let logs = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let logs = match settings.format {
        LogFormat::Pretty => logs.with_target(false).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
    };
    // A process that runs several tests starts it several times.
    let _ = tracing_subscriber::registry().with(traces).with(logs.with_filter(filter)).try_init();
    Ok(())
}

/// The current trace, as headers to send on.
pub fn context_headers() -> BTreeMap<String, String> {
    struct Headers(BTreeMap<String, String>);
    impl Injector for Headers {
        fn set(&mut self, key: &str, value: String) {
            self.0.insert(key.to_owned(), value);
        }
    }
    let mut headers = Headers(BTreeMap::new());
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut headers));
    headers.0
}

/// The trace that a request continues.
pub fn remote_context(headers: &http::HeaderMap) -> Context {
    struct Headers<'a>(&'a http::HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(http::HeaderName::as_str).collect()
        }
    }
    global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)))
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

/// Adds metrics to the process's registry.
pub fn register(add: impl FnOnce(&mut Registry)) {
    add(&mut REGISTRY.lock().unwrap_or_else(PoisonError::into_inner));
}

/// All metrics in the `OpenMetrics` text format.
pub fn metrics() -> String {
    let mut text = String::new();
    let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    // Writing to a string cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallLabels {
    rpc_method: String,
    rpc_response_status_code: i32,
}

/// Seconds.
const CALL_BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

static CALLS: LazyLock<Family<CallLabels, Histogram>> = LazyLock::new(|| {
    let family: Family<CallLabels, Histogram> =
        Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS));
    register(|registry| {
        registry.register_with_unit(
            "rpc_server_call_duration",
            "Time from a call's headers to its response's",
            prometheus_client::registry::Unit::Seconds,
            Family::clone(&family),
        );
    });
    family
});

/// Counts one served call.
pub fn observe_call(method: &str, status: tonic::Code, took: Duration) {
    let labels =
        CallLabels { rpc_method: method.to_owned(), rpc_response_status_code: status as i32 };
    CALLS.get_or_create(&labels).observe(took.as_secs_f64());
}
