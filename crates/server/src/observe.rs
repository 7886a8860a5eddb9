//! Around every call: a span that continues the caller's trace, its duration in
//! the metrics, and `/metrics` itself. Changes nothing of the call.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use base::fail_point;
use telemetry::calls::{self, SERVED};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Puts [`Observe`] around a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObserveLayer;

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner }
    }
}

/// Watches calls go by.
#[derive(Clone, Debug)]
pub(crate) struct Observe<S> {
    inner: S,
}

impl<S> Service<http::Request<Body>> for Observe<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() == "/metrics" {
            let response = metrics(request.headers());
            return Box::pin(async { Ok(response) });
        }
        let Some(method) = request.uri().path_and_query().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        let span = tracing::info_span!("rpc", otel.kind = "server", rpc.method = method.path());
        // Fails only where no tracer is installed: then there is nothing to continue.
        let _ = span.set_parent(telemetry::remote_context(request.headers()));
        let response = self.inner.call(request);
        let observed = async move {
            let begun = Instant::now();
            let response = response.await?;
            fail_point::served(method.path());
            let status = Status::from_header_map(response.headers());
            let code = status.map_or(Code::Ok, |status| status.code());
            SERVED.took(&method, code, begun.elapsed());
            calls::describe(method.path(), code);
            tracing::debug!(method = method.path(), ?code, "answered");
            Ok(response)
        };
        Box::pin(observed.instrument(span))
    }
}

fn metrics(asked: &http::HeaderMap) -> http::Response<Body> {
    let (kind, body) = telemetry::exposition(asked);
    let mut response = http::Response::new(Body::new(http_body_util::Full::from(body)));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}
