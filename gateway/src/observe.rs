//! How long requests take, and how many are under way: `http.server.request.duration`
//! and `http.server.active_requests` of the semantic conventions. Labels are routes,
//! never paths.

use std::{sync::LazyLock, time::Duration};

use http::Method;
use opentelemetry::{KeyValue, trace::Status};
use prometheus_client::{encoding::EncodeLabelSet, metrics::gauge::Gauge};
use telemetry::{Gauges, Histograms};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    http_request_method: &'static str,
    http_route: &'static str,
    http_response_status_code: u32,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Nothing {}

static REQUESTS: LazyLock<Histograms<Labels>> = LazyLock::new(|| {
    telemetry::durations(
        "http.server.request.duration",
        "Time from a request's headers to its response",
        &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0],
    )
});

static ACTIVE: LazyLock<Gauge> = LazyLock::new(|| {
    let help = "Requests under way";
    let family: Gauges<Nothing> = telemetry::gauges("http.server.active_requests", help);
    family.get_or_create(&Nothing {}).clone()
});

/// A request under way, until dropped.
pub(crate) struct Active;

impl Active {
    pub(crate) fn one() -> Self {
        ACTIVE.inc();
        Self
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.dec();
    }
}

/// Counts one request, and says of its span what it was. `route` is empty when there was none for it.
pub(crate) fn request(
    method: &Method,
    path: &str,
    route: &'static str,
    status: u16,
    took: Duration,
) {
    let method = name(method);
    let labels = Labels {
        http_request_method: method,
        http_route: route,
        http_response_status_code: status.into(),
    };
    REQUESTS.took(&labels, took);
    telemetry::describe(|span| {
        span.update_name(format!("{method} {route}").trim_end().to_owned());
        span.set_attribute(KeyValue::new("http.request.method", method));
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        span.set_attribute(KeyValue::new("url.path", path.to_owned()));
        span.set_attribute(KeyValue::new("url.scheme", "http"));
        if status >= 500 {
            span.set_attribute(KeyValue::new("error.type", status.to_string()));
            span.set_status(Status::error(""));
        }
    });
}

/// A method's name; `_OTHER` for what clients make up.
fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}
