//! Logs, traces and metrics, set up once a process.
//!
//! Logs go to stderr, for people or as JSON with the ids of the trace. Every call
//! runs in a span that continues the caller's W3C trace; events carry that context
//! on. Metrics have one registry: `/metrics` shows it to Prometheus, [`readings`]
//! to whoever is in the process, and a collector gets the same over OTLP, with the
//! spans, when one is set. Nothing here makes anybody wait for a collector.
//!
//! ```
//! use prometheus_client::encoding::EncodeLabelSet;
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
//! struct Kitchen {
//!     dish: &'static str,
//! }
//!
//! let served = telemetry::counters::<Kitchen>("served", "Dishes that were served.");
//! served.get_or_create(&Kitchen { dish: "bibimbap" }).inc();
//! assert!(telemetry::metrics().contains("bibimbap"));
//! ```
//!
//! It refuses to make anybody wait for a collector, and to keep what nobody reads.

pub mod calls;
mod logs;
mod metrics;
mod otlp;
mod process;
mod reading;
pub mod spans;

use std::{
    io::IsTerminal as _,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use base::{Error, error::configuration};
use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use settings::{LogFormat, TelemetrySettings};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Level;
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};
use uuid::Uuid;

pub use self::{
    metrics::{
        CALL_BUCKETS, Counters, Gauges, Histograms, Labels, PROTOBUF, Seconds, counters, durations,
        exposition, gauges, histograms, metrics, sample, seconds,
    },
    reading::{Exemplar, Kind, Point, Reading, Value, read, readings},
    spans::{describe, inject, remote_context},
};

/// How long the last spans and metrics may take to leave.
const FAREWELL: Duration = Duration::from_secs(3);

/// What has to be told of the end.
struct Started {
    tracers: SdkTracerProvider,
    metrics: Option<(CancellationToken, std::sync::Mutex<Option<JoinHandle<()>>>)>,
}

static STARTED: OnceLock<Started> = OnceLock::new();

/// Starts telemetry for this process, which runs `part`; the first call counts. Needs a tokio
/// runtime when there is a collector. It may be away, now and later.
pub fn init(settings: &TelemetrySettings, part: &str) -> Result<(), Error> {
    let filter = settings
        .log
        .parse::<Targets>()
        .map_err(|error| configuration(format!("telemetry.log: {error}")))?
        // It warns of each connection that it throws away: of all, when Postgres is restarted.
        // `deadpool.postgres=warn` is more specific, and shows that.
        .with_target("deadpool", LevelFilter::ERROR);
    global::set_text_map_propagator(TraceContextPropagator::new());
    let resource = resource(settings, part)?;
    let collector = otlp::Collector::new(&settings.otlp)?;
    // Without a collector nobody keeps what begins here; ids are given all the same.
    let share = if collector.is_some() { settings.sample_ratio } else { 0.0 };
    let mut tracers = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share))));
    if let Some(collector) = &collector {
        tracers = tracers.with_batch_exporter(collector.spans()?);
    }
    let tracers = tracers.build();
    // Our spans alone: h2, hyper and tonic open one for every frame, which cost the gateway more
    // than all else that it did. What the code is called and where it runs is not asked for either.
    let ours = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO)
        .with_max_level_hint(Level::INFO);
    let traces = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("hansang"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(ours);
    let logs = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let logs = match settings.format {
        LogFormat::Pretty => logs.with_target(false).boxed(),
        LogFormat::Json => logs.event_format(logs::Json).fmt_fields(logs::fields()).boxed(),
    };
    // A process that runs several tests starts it several times.
    if tracing_subscriber::registry()
        .with(traces)
        .with(logs.with_filter(filter))
        .try_init()
        .is_err()
    {
        return Ok(());
    }
    process::watch(&resource);
    let metrics = collector.map(|collector| {
        let stop = CancellationToken::new();
        let pushing = tokio::spawn(collector.metrics(&resource).run(stop.clone()));
        (stop, std::sync::Mutex::new(Some(pushing)))
    });
    let _ = STARTED.set(Started { tracers, metrics });
    Ok(())
}

/// Sends what has not been sent yet, but does not wait for long; to be called last.
pub async fn shutdown() {
    let Some(Started { tracers, metrics }) = STARTED.get() else { return };
    if let Some((stop, pushing)) = metrics {
        stop.cancel();
        let pushing = pushing.lock().ok().and_then(|mut pushing| pushing.take());
        if let Some(pushing) = pushing {
            let _ = tokio::time::timeout(FAREWELL, pushing).await;
        }
    }
    // Elsewhere it would wait for an export on the thread that carries it out.
    let tracers = tracers.clone();
    let _ = tokio::task::spawn_blocking(move || tracers.shutdown_with_timeout(FAREWELL)).await;
}

/// Who tells.
fn resource(settings: &TelemetrySettings, part: &str) -> Result<Resource, Error> {
    let name = if settings.service_name.is_empty() { part } else { &settings.service_name };
    let more = otlp::pairs("telemetry.resource", &settings.resource)?;
    let more = more.into_iter().map(|(key, value)| KeyValue::new(key, value));
    Ok(Resource::builder_empty()
        .with_service_name(name.to_owned())
        .with_attributes([
            KeyValue::new("service.namespace", "hansang"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::now_v7().to_string()),
        ])
        .with_attributes(more)
        .build())
}

/// Nanoseconds since 1970, as OTLP has time.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
