//! What is told of a process, and to whom. OpenTelemetry's own variables
//! (`OTEL_EXPORTER_OTLP_ENDPOINT`, …) are read as well, above the file and below
//! ours.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Secret;

/// Logs, traces, metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySettings {
    /// What to log, by level and by part: `info`, `info,server=debug`.
    pub log: String,
    /// How to write it.
    pub format: LogFormat,
    /// `service.name` of what is told; empty: the part that runs, or `hansang` for several.
    pub service_name: String,
    /// More about this process, `k8s.pod.name=order-1,…`; `service.instance.id` is made up anew by
    /// each process unless it stands here.
    pub resource: String,
    /// The share of the traces that begin here and are kept, 0 to 1. What continues a caller's
    /// trace does as the caller did.
    pub sample_ratio: f64,
    /// Where traces and metrics are sent.
    pub otlp: OtlpSettings,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            log: "info".into(),
            format: LogFormat::Pretty,
            service_name: String::new(),
            resource: String::new(),
            sample_ratio: 1.0,
            otlp: OtlpSettings::default(),
        }
    }
}

/// A collector that takes OTLP over gRPC.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSettings {
    /// `http://collector:4317`, or `https://…`; empty: nothing is sent.
    pub endpoint: String,
    /// Sent along, `api-key=secret,…`.
    pub headers: Secret,
    /// How long one export may take.
    pub timeout_ms: u64,
    /// How often metrics are sent.
    pub metrics_interval_ms: u64,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: Secret::default(),
            timeout_ms: 10_000,
            metrics_interval_ms: 60_000,
        }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// OpenTelemetry's variables, and what they are called here.
const STANDARD: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "otlp.headers"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout_ms"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "otlp.metrics_interval_ms"),
    ("OTEL_RESOURCE_ATTRIBUTES", "resource"),
    ("OTEL_SERVICE_NAME", "service_name"),
    ("OTEL_TRACES_SAMPLER_ARG", "sample_ratio"),
];

/// The settings that OpenTelemetry's variables stand for, as variables of ours. An empty one is as
/// good as none (the specification's rule), and so is what `OTEL_SDK_DISABLED` turns off.
pub(super) fn standard(env: &HashMap<String, String>) -> HashMap<String, String> {
    let off = env.get("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true"));
    let found = STANDARD.iter().filter_map(|(name, key)| {
        let value = env.get(*name).filter(|value| !value.is_empty() && !off)?;
        let ours = format!("HANSANG__TELEMETRY__{}", key.replace('.', "__").to_uppercase());
        Some((ours, value.clone()))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    fn loaded(pairs: &[(&str, &str)]) -> Settings {
        let env = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Settings::load(None, env.collect::<Vec<_>>(), []).expect("loads")
    }

    #[test]
    fn the_standard_variables_count_and_ours_count_more() {
        let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://one:4317");
        let settings = loaded(&[
            standard,
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=secret"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_SERVICE_NAME", ""),
        ]);
        let telemetry = &settings.telemetry;
        assert_eq!(telemetry.otlp.endpoint, "http://one:4317");
        assert_eq!(telemetry.otlp.headers.expose(), "api-key=secret");
        assert!((telemetry.sample_ratio - 0.25).abs() < f64::EPSILON);
        assert!(!format!("{settings:?}").contains("secret"));
        let ours = ("HANSANG__TELEMETRY__OTLP__ENDPOINT", "http://two:4317");
        assert_eq!(loaded(&[standard, ours]).telemetry.otlp.endpoint, "http://two:4317");
        let off = ("OTEL_SDK_DISABLED", "true");
        assert_eq!(loaded(&[standard, off]).telemetry.otlp.endpoint, "");
    }
}
