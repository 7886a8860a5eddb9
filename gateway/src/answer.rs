//! One request, from its headers to its response: the path of the module doc of
//! the crate, in code.

use std::panic::AssertUnwindSafe;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, header, request::Parts};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use kit::{
    Error,
    auth::Caller,
    error::Kind,
    rpc::{Call, Method as Rpc},
    telemetry,
};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    Gateway, admission, deadline, headers, observe, problem,
    route::{Miss, Route},
    transcode::Input,
};

const LONGEST_BODY: usize = 1024 * 1024;

/// A failed request: what went wrong, and the verbs that would have been right, if it was that.
struct Failed {
    status: Status,
    allow: Option<String>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { status: error.into(), allow: None }
    }
}

impl Gateway {
    /// Answers a request; whatever happens, there is a response.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        if let Some(response) = self.own(&parts) {
            return response;
        }
        let begun = Instant::now();
        let found = self.router.find(&parts.method, parts.uri.path());
        let route = found.as_ref().map_or("", |(route, _)| route.path);
        let id = parts.headers.get("x-request-id").and_then(|id| id.to_str().ok());
        let span =
            tracing::info_span!("http", otel.kind = "server", http.route = route, request_id = id);
        // Fails only where no tracer is installed: then there is nothing to continue.
        let _ = span.set_parent(telemetry::remote_context(&parts.headers));
        async {
            let answer = match &found {
                Ok((route, path)) => {
                    let call =
                        AssertUnwindSafe(self.call(route, path, &parts, body)).catch_unwind();
                    call.await.unwrap_or_else(|_| Err(Error::internal("the gateway failed").into()))
                }
                Err(miss) => Err(not_found(miss)),
            };
            let response = answer.unwrap_or_else(|failed| refuse(&parts, &failed));
            let status = response.status().as_u16();
            tracing::debug!(method = %parts.method, path = parts.uri.path(), status, "answered");
            observe::request(&parts.method, route, status, begun.elapsed());
            response
        }
        .instrument(span)
        .await
    }

    /// What the gateway answers itself.
    fn own(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return None;
        }
        let (kind, body) = match parts.uri.path() {
            "/healthz" => ("text/plain", Bytes::from_static(b"ok\n")),
            "/.well-known/jwks.json" => ("application/jwk-set+json", self.jwks.clone()),
            _ => return None,
        };
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Some(response)
    }

    async fn call(
        &self,
        route: &Route,
        path: &[&str],
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response<Full<Bytes>>, Failed> {
        let policies = self.policies.borrow().clone();
        let policy = policies.of(route);
        let _place = self.admission.enter(&policies, route, parts)?;
        let most = policy.timeout.unwrap_or(self.deadline);
        let deadline = Instant::now() + deadline::within(&parts.headers, most)?;
        admission::check_member(policy, &self.check_caller(parts, route)?)?;
        let metadata = headers::metadata(&parts.headers, route)?;
        let body = timeout_at(deadline, read(parts, body)).await.map_err(|_| {
            Error::new(Kind::Invalid, problem::BODY_TOO_SLOW, "the body did not come in time")
        })??;
        let input = Input { path, query: parts.uri.query().unwrap_or_default(), body: &body };
        let message = Bytes::from((route.request)(&input)?);
        let call = Call {
            method: Rpc::new(route.method, route.idempotent),
            policy: policy.calling,
            message,
            metadata,
            deadline,
        };
        let reply = self.peer(route)?.call(call).await.map_err(|failure| {
            let status = failure.into_status();
            Failed { status, allow: None }
        })?;
        let json = (route.response)(&reply.message)?;
        Ok(headers::response(json, reply.metadata))
    }

    /// Refuses early what a service would refuse too: a token that is not valid, or none where the
    /// contract wants one. What a caller may do is the service's matter.
    fn check_caller(&self, parts: &Parts, route: &Route) -> Result<Caller, Error> {
        let unauthenticated = |why| Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", why);
        let sent = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::to_str);
        let sent = sent.transpose().map_err(|_| unauthenticated("not a token"))?;
        match self.verifier.caller(sent)? {
            Caller::Anonymous if !route.open => Err(unauthenticated("sign in first")),
            caller => Ok(caller),
        }
    }
}

fn not_found(miss: &Miss) -> Failed {
    match miss {
        Miss::NotFound => {
            Error::new(Kind::NotFound, "NO_SUCH_PATH", "there is nothing at this path").into()
        }
        Miss::NotAllowed(allow) => {
            let detail = format!("this path takes {allow}");
            let error = Error::new(Kind::Invalid, problem::METHOD_NOT_ALLOWED, detail);
            Failed { allow: Some(allow.clone()), ..error.into() }
        }
    }
}

/// The whole body. One that is not empty must be JSON.
async fn read(parts: &Parts, body: Incoming) -> Result<Bytes, Error> {
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return Error::new(Kind::Invalid, problem::BODY_TOO_LARGE, "the body is over 1 MiB");
        }
        Error::new(Kind::Invalid, "BODY_BROKEN", "the body ended too early")
    })?;
    let body = body.to_bytes();
    if !body.is_empty() && !is_json(parts.headers.get(header::CONTENT_TYPE)) {
        let detail = "the body must be application/json";
        return Err(Error::new(Kind::Invalid, problem::NOT_JSON, detail));
    }
    Ok(body)
}

fn is_json(kind: Option<&HeaderValue>) -> bool {
    let Some(kind) = kind.and_then(|kind| kind.to_str().ok()) else { return false };
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn refuse(parts: &Parts, failed: &Failed) -> Response<Full<Bytes>> {
    let context = telemetry::context_headers();
    // version-trace-parent-flags, of the W3C.
    let trace = context.get("traceparent").and_then(|parent| parent.split('-').nth(1));
    let mut response = problem::response(&failed.status, parts.uri.path(), trace);
    if let Some(allow) = failed.allow.as_deref().and_then(|allow| allow.parse().ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
