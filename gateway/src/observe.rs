//! How long requests take, for Prometheus: `http.server.request.duration` of the
//! semantic conventions. Shown where the process shows its metrics; labels are
//! routes, never paths.

use std::{sync::LazyLock, time::Duration};

use http::Method;
use kit::telemetry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
    registry::Unit,
};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    http_request_method: &'static str,
    http_route: &'static str,
    http_response_status_code: u32,
}

static REQUESTS: LazyLock<Family<Labels, Histogram>> = LazyLock::new(|| {
    let family = Family::<Labels, Histogram>::new_with_constructor(|| {
        Histogram::new([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5])
    });
    telemetry::register(|registry| {
        registry.register_with_unit(
            "http_server_request_duration",
            "Time from a request's headers to its response",
            Unit::Seconds,
            Family::clone(&family),
        );
    });
    family
});

/// Counts one request. `route` is empty when there was none for it.
pub(crate) fn request(method: &Method, route: &'static str, status: u16, took: Duration) {
    let labels = Labels {
        http_request_method: name(method),
        http_route: route,
        http_response_status_code: status.into(),
    };
    REQUESTS.get_or_create(&labels).observe(took.as_secs_f64());
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
