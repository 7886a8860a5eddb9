//! OTLP over gRPC, to one collector: spans by OpenTelemetry's exporter, metrics by
//! sending what the registry says. Both leave in the background; when the collector
//! is away, spans are dropped beyond a few thousand, and metrics tell of all that was
//! missed as soon as it is back, since they only ever add up.

use std::{
    fmt,
    str::FromStr as _,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use base::{Error, error::configuration};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig as _, WithTonicConfig as _,
};
use opentelemetry_proto::{
    tonic::{
        collector::metrics::v1::{
            ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient,
        },
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric,
            NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, exemplar, metric,
            number_data_point,
        },
        resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use prometheus_client::encoding::EncodeLabelSet;
use settings::OtlpSettings;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request,
    metadata::{MetadataKey, MetadataMap, MetadataValue},
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::{
    Counters, counters, nanos,
    reading::{self, Kind, Point, Reading, Value, readings},
};

/// `key=value,…`, with what is special written as `%2C`, as OpenTelemetry has it.
pub(super) fn pairs(setting: &str, text: &str) -> Result<Vec<(String, String)>, Error> {
    let wrong = || configuration(format!("{setting}: must be key=value, with commas between"));
    let decoded = |part: &str| {
        let bytes = percent_encoding::percent_decode_str(part.trim());
        bytes.decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| wrong())
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        Ok((decoded(key)?, decoded(value)?))
    });
    pairs.collect()
}

/// Where telemetry goes.
pub(super) struct Collector {
    channel: Channel,
    headers: MetadataMap,
    timeout: Duration,
    interval: Duration,
}

impl Collector {
    /// The collector of the settings, if there is one. Connects when it is first needed.
    pub(super) fn new(settings: &OtlpSettings) -> Result<Option<Self>, Error> {
        if settings.endpoint.is_empty() {
            return Ok(None);
        }
        let wrong = |error: &dyn fmt::Display| {
            configuration(format!("telemetry.otlp.endpoint: {}: {error}", settings.endpoint))
        };
        let timeout = Duration::from_millis(settings.timeout_ms);
        let endpoint = Endpoint::from_shared(settings.endpoint.clone()).map_err(|e| wrong(&e))?;
        let endpoint = match endpoint.uri().scheme_str() {
            Some("http") => endpoint,
            Some("https") => endpoint
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|e| wrong(&e))?,
            _ => return Err(wrong(&"must be http://host:port or https://host:port")),
        };
        let mut headers = MetadataMap::new();
        for (key, value) in pairs("telemetry.otlp.headers", settings.headers.expose())? {
            let wrong = || configuration("telemetry.otlp.headers: not a header of gRPC");
            let key = MetadataKey::from_str(&key.to_lowercase()).map_err(|_| wrong())?;
            headers.insert(key, MetadataValue::try_from(value).map_err(|_| wrong())?);
        }
        Ok(Some(Self {
            channel: endpoint.timeout(timeout).connect_timeout(timeout).connect_lazy(),
            headers,
            timeout,
            interval: Duration::from_millis(settings.metrics_interval_ms),
        }))
    }

    /// Takes spans there.
    pub(super) fn spans(&self) -> Result<impl SpanExporter + use<>, Error> {
        let exporter = OtlpExporter::builder()
            .with_tonic()
            .with_channel(self.channel.clone())
            .with_metadata(self.headers.clone())
            .with_timeout(self.timeout)
            .build();
        let wrong = |error: ExporterBuildError| configuration(format!("telemetry.otlp: {error}"));
        Ok(Spans { exporter: exporter.map_err(wrong)?, away: Away::new("traces") })
    }

    /// Takes metrics there.
    pub(super) fn metrics(self, resource: &Resource) -> Metrics {
        let attributes = ResourceAttributesWithSchema::from(resource).attributes.0;
        Metrics {
            client: MetricsServiceClient::new(self.channel),
            headers: self.headers,
            interval: self.interval,
            resource: resource::v1::Resource { attributes, ..resource::v1::Resource::default() },
            began: SystemTime::now(),
            away: Away::new("metrics"),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    signal: &'static str,
    outcome: &'static str,
}

static EXPORTS: LazyLock<Counters<Labels>> =
    LazyLock::new(|| counters("hansang.telemetry.exports", "Exports to the collector"));

/// Counts exports; says once when they begin to fail, and when they go again.
#[derive(Debug)]
struct Away {
    signal: &'static str,
    away: AtomicBool,
}

impl Away {
    fn new(signal: &'static str) -> Self {
        for outcome in ["sent", "failed"] {
            let _ = EXPORTS.get_or_create(&Labels { signal, outcome });
        }
        Self { signal, away: AtomicBool::new(false) }
    }

    fn note<T>(&self, outcome: &Result<T, impl fmt::Display>) {
        let signal = self.signal;
        let said = if outcome.is_ok() { "sent" } else { "failed" };
        EXPORTS.get_or_create(&Labels { signal, outcome: said }).inc();
        match (self.away.swap(outcome.is_err(), Ordering::Relaxed), outcome) {
            (false, Err(error)) => {
                tracing::warn!(%error, signal, "OTLP export failing, dropping telemetry until it recovers");
            }
            (true, Ok(_)) => tracing::info!(signal, "OTLP export recovered"),
            _ => {}
        }
    }
}

/// The exporter of spans, watched.
#[derive(Debug)]
struct Spans {
    exporter: OtlpExporter,
    away: Away,
}

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.exporter.export(batch).await;
        self.away.note(&outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends what the registry says, again and again.
pub(super) struct Metrics {
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    interval: Duration,
    resource: resource::v1::Resource,
    began: SystemTime,
    away: Away,
}

impl Metrics {
    /// Until told to stop; then once more.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when there is nothing to tell.
        tick.tick().await;
        loop {
            let last = stop.run_until_cancelled(tick.tick()).await.is_none();
            let request = self.request(readings(), SystemTime::now());
            let outcome = self.client.export(request).await;
            self.away.note(&outcome);
            if last {
                return;
            }
        }
    }

    fn request(
        &self,
        readings: Vec<Reading>,
        now: SystemTime,
    ) -> Request<ExportMetricsServiceRequest> {
        let time = Time { began: nanos(self.began), now: nanos(now) };
        let metrics = readings.into_iter().filter(|reading| !reading.points.is_empty());
        let scope = InstrumentationScope { name: "hansang".to_owned(), ..Default::default() };
        let mut request = Request::new(ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(scope),
                    metrics: metrics.map(|reading| time.metric(reading)).collect(),
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        });
        *request.metadata_mut() = self.headers.clone();
        request
    }
}

/// When what is told of happened.
#[derive(Clone, Copy)]
struct Time {
    began: u64,
    now: u64,
}

impl Time {
    fn metric(self, reading: Reading) -> Metric {
        let Reading { name, help, unit, kind, points } = reading;
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = match kind {
            Kind::Gauge => metric::Data::Gauge(Gauge { data_points: self.numbers(points) }),
            Kind::Counter => metric::Data::Sum(Sum {
                data_points: self.numbers(points),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Kind::Histogram => metric::Data::Histogram(Histogram {
                data_points: points.into_iter().filter_map(|point| self.spread(point)).collect(),
                aggregation_temporality: cumulative,
            }),
        };
        // UCUM's names, which the conventions use.
        let unit = match unit.as_str() {
            "seconds" => "s".to_owned(),
            "bytes" => "By".to_owned(),
            _ => unit,
        };
        Metric { name, description: help, unit, data: Some(data), ..Metric::default() }
    }

    fn numbers(self, points: Vec<Point>) -> Vec<NumberDataPoint> {
        let point = |point: Point| {
            let Value::Number(value) = point.value else { return None };
            Some(NumberDataPoint {
                attributes: attributes(point.labels),
                start_time_unix_nano: self.began,
                time_unix_nano: self.now,
                value: Some(number_data_point::Value::AsDouble(value)),
                ..NumberDataPoint::default()
            })
        };
        points.into_iter().filter_map(point).collect()
    }

    fn spread(self, point: Point) -> Option<HistogramDataPoint> {
        let Value::Spread { sum, count, buckets, examples } = point.value else { return None };
        let mut before = 0;
        let each = buckets.iter().map(|(_, upto)| upto - std::mem::replace(&mut before, *upto));
        Some(HistogramDataPoint {
            attributes: attributes(point.labels),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count,
            sum: Some(sum),
            bucket_counts: each.collect(),
            explicit_bounds: buckets
                .iter()
                .map(|(bound, _)| *bound)
                .filter(|b| b.is_finite())
                .collect(),
            exemplars: examples.iter().map(example).collect(),
            ..HistogramDataPoint::default()
        })
    }
}

fn example(example: &reading::Exemplar) -> Exemplar {
    let id = |name: &str| {
        let label = example.labels.iter().find(|(key, _)| key == name);
        let hex = label.map_or("", |(_, value)| value.as_str());
        let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        (0..hex.len()).step_by(2).filter_map(byte).collect()
    };
    let when = Duration::try_from_secs_f64(example.time).unwrap_or_default();
    Exemplar {
        time_unix_nano: nanos(SystemTime::UNIX_EPOCH + when),
        trace_id: id("trace_id"),
        span_id: id("span_id"),
        value: Some(exemplar::Value::AsDouble(example.value)),
        ..Exemplar::default()
    }
}

/// The conventions' attributes among our labels: an underscore does not say where a dot was.
const ATTRIBUTES: &[&str] = &[
    "cpu.mode",
    "db.client.connection.pool.name",
    "db.client.connection.state",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "rpc.method",
    "rpc.response.status_code",
    "service.instance.id",
    "service.name",
    "service.version",
];

fn attributes(labels: Vec<(String, String)>) -> Vec<KeyValue> {
    let attribute = |(label, value): (String, String)| {
        let known = ATTRIBUTES.iter().find(|name| name.replace('.', "_") == label);
        let key = known.map_or(label, |name| (*name).to_owned());
        // The one number among them.
        let value = match (key.as_str(), value.parse()) {
            ("http.response.status_code", Ok(code)) => any_value::Value::IntValue(code),
            _ => any_value::Value::StringValue(value),
        };
        KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
    };
    labels.into_iter().map(attribute).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_what_is_none_is_refused() {
        let read = pairs("headers", "api-key=a%2Cb%3Dc, x = y=z,").expect("is right");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read, [pair("api-key", "a,b=c"), pair("x", "y=z")]);
        let error = pairs("headers", "secret").expect_err("no pair").to_string();
        assert!(error.contains("headers: ") && !error.contains("secret"), "{error}");
    }
}
