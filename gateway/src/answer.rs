//! One request, from its headers to its response: the path of the module doc of
//! the crate, in code.

use std::{borrow::Cow, panic::AssertUnwindSafe};

use base::{Error, error::Kind};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use identity::auth::Caller;
use rpc::{Call, Failure, Method as Rpc, Policy, Reply};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use transcoder::{Input, Media, Miss, Route};

use crate::{
    Gateway,
    admission::{self, Place},
    coding, deadline, grpc, headers, observe, openapi,
    pages::Pages,
    policies::Policies,
    problem,
    stream::{self, Form, Frames},
};

pub(crate) const LONGEST_BODY: usize = 1024 * 1024;
/// Path and query together.
const LONGEST_URI: usize = 8 * 1024;
/// What HTTP knows, `QUERY` among it; whatever else somebody calls a method, the gateway cannot carry out.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"];
/// Of the server as a whole (`OPTIONS *`).
const SOMEWHERE: &str = "DELETE, GET, HEAD, OPTIONS, PATCH, POST";
/// Of what the gateway answers itself.
const READ: &str = "GET, HEAD, OPTIONS";

/// A failed request: what went wrong, and the verbs that would have been right, if it was that.
struct Failed {
    status: Status,
    allow: Option<String>,
}

/// A request that was let in: by which policies, and its place among those under way.
struct Entered<'a> {
    policies: &'a Policies,
    place: Place<'a>,
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self { status, allow: None }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Status::from(error).into()
    }
}

impl Gateway {
    /// Answers a request; whatever happens, there is a response.
    pub(crate) async fn answer(&self, pages: &Pages, request: Request<Incoming>) -> Response<Body> {
        if grpc::is_grpc(request.headers()) {
            return self.grpc(request.map(Body::new)).await;
        }
        let (parts, body) = request.into_parts();
        if let Some(response) = self.own(&parts) {
            return response.map(Body::new);
        }
        let (begun, _active) = (Instant::now(), observe::Active::one());
        let policies = self.policies.borrow().clone();
        let found = match self.router.find(&parts.method, parts.uri.path()) {
            Ok((route, path)) => match self.admission.enter(&policies, route, &parts) {
                Ok(place) => Ok((route, path, Entered { policies: &policies, place })),
                // At once, and without a span: what there is too much of must cost little.
                Err(error) => return answered(&parts, route.path, begun, Err(error.into())),
            },
            Err(miss) => Err(miss),
        };
        let mut route = found.as_ref().map_or("", |(route, ..)| route.path);
        let span = span(&parts.headers, route);
        async {
            let answer = match (understood(&parts), &found) {
                (Err(error), _) => Err(error.into()),
                (_, Ok((route, path, entered))) => {
                    let call = self.call(route, path, &parts, body, entered);
                    let call = AssertUnwindSafe(call).catch_unwind();
                    call.await.unwrap_or_else(|_| Err(Error::internal("the gateway failed").into()))
                }
                (_, Err(Miss::NotFound)) => {
                    let (page, answer) = pages.answer(parts.clone(), body).await;
                    route = page;
                    match answer {
                        Ok(page) if page.status() == StatusCode::METHOD_NOT_ALLOWED => {
                            takes(&parts.method, &of_page(page.headers()))
                        }
                        answer => answer.map_err(Failed::from),
                    }
                }
                (_, Err(Miss::NotAllowed(allow))) => takes(&parts.method, allow),
            };
            answered(&parts, route, begun, answer)
        }
        .instrument(span)
        .await
    }

    /// What the gateway answers itself.
    fn own(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        let (status, kind, body) = match parts.uri.path() {
            "*" if parts.method == Method::OPTIONS => return Some(headers::options(SOMEWHERE)),
            "/readyz" if self.stop.told.is_cancelled() => {
                (StatusCode::SERVICE_UNAVAILABLE, "text/plain", "stopping\n".into())
            }
            "/healthz" | "/readyz" => (StatusCode::OK, "text/plain", "ok\n".into()),
            "/.well-known/jwks.json" => {
                (StatusCode::OK, "application/jwk-set+json", self.jwks.clone())
            }
            "/openapi.json" => (StatusCode::OK, "application/json", self.openapi.clone()),
            path => {
                let page = openapi::page(path)?;
                return Some(own_method(parts).unwrap_or(page));
            }
        };
        if let Some(other) = own_method(parts) {
            return Some(other);
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Some(response)
    }

    async fn call(
        &self,
        route: &'static Route,
        path: &[&str],
        parts: &Parts,
        body: Incoming,
        Entered { policies, place }: &Entered<'_>,
    ) -> Result<Response<Body>, Failed> {
        let deadline = self.admit(policies, route, parts)?;
        headers::acceptable(&parts.headers, route)?;
        let form = route.event_id.map(|_| Form::accepted(&parts.headers)).transpose()?;
        let body = timeout_at(deadline, read(route, parts, body)).await.map_err(|_| {
            Error::new(
                Kind::Invalid,
                problem::BODY_TOO_SLOW,
                "the request body was not received in time",
            )
        })??;
        let query = parts.uri.query().unwrap_or_default();
        let query = match form {
            Some(_) => stream::query(&parts.headers, query)?.into(),
            None => Cow::from(query),
        };
        let content_type =
            parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let content_type = content_type.unwrap_or_default();
        let input = Input { path, query: &query, body: &body, content_type };
        let message = Bytes::from((route.request)(&input)?);
        let call = call(route, &parts.headers, message, policies.of(route).calling, deadline)?;
        let reply = self.send(route, place, call).await?;
        if let (Some(form), Some(messages)) = (form, reply.messages) {
            let frames = Frames::new(form, route, parts.uri.path(), base::error::trace_id());
            let messages = stream::until_closing(messages, self.stop.closing.clone());
            return Ok(stream::response(messages, frames).await?);
        }
        let body = (route.response)(&reply.message)?;
        Ok(headers::response(&parts.headers, route, body, reply.metadata)?.map(Body::new))
    }

    /// What else is in the way of a request that has entered, before anything is read of it: its token,
    /// its member's rate. Answers the deadline that holds for all that follows.
    pub(crate) fn admit(
        &self,
        policies: &Policies,
        route: &Route,
        parts: &Parts,
    ) -> Result<Instant, Error> {
        let policy = policies.of(route);
        let most = policy.timeout.unwrap_or(self.deadline);
        let deadline = Instant::now() + deadline::within(&parts.headers, most)?;
        admission::check_member(policy, &self.check_caller(&parts.headers, route)?)?;
        Ok(deadline)
    }

    /// Calls the service, and tells admission how long that took. A stream's beginning says nothing.
    pub(crate) async fn send(
        &self,
        route: &Route,
        place: &Place<'_>,
        call: Call,
    ) -> Result<Reply, Status> {
        let begun = Instant::now();
        let answer = self.peer(route)?.call(call).await.map_err(Failure::into_status);
        let late = answer.as_ref().is_err_and(|status| status.code() == Code::DeadlineExceeded);
        if route.event_id.is_none() && (answer.is_ok() || late) {
            place.called(begun.elapsed(), late);
        }
        answer
    }

    /// Refuses early what a service would refuse too: a token that is not valid, or none where the
    /// contract wants one. What a caller may do is the service's matter.
    fn check_caller(&self, sent: &HeaderMap, route: &Route) -> Result<Caller, Error> {
        let unauthenticated = |why| Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", why);
        let sent = sent.get(header::AUTHORIZATION).map(HeaderValue::to_str);
        let sent = sent.transpose().map_err(|_| unauthenticated("not a token"));
        match sent.and_then(|sent| self.verifier.caller(sent)) {
            // What is open to everybody is open to those with a stale or foreign token.
            Err(_) if route.open => Ok(Caller::Anonymous),
            Ok(Caller::Anonymous) if !route.open => Err(unauthenticated("sign in first")),
            caller => caller,
        }
    }
}

/// A request's response, counted.
fn answered(
    parts: &Parts,
    route: &'static str,
    begun: Instant,
    answer: Result<Response<Body>, Failed>,
) -> Response<Body> {
    let response = answer.unwrap_or_else(|failed| refuse(parts, &failed).map(Body::new));
    let status = response.status().as_u16();
    tracing::debug!(method = %parts.method, path = parts.uri.path(), status, "answered");
    observe::request(&parts.method, parts.uri.path(), route, status, begun.elapsed());
    response
}

/// The call that a request becomes, by REST or by gRPC.
pub(crate) fn call(
    route: &Route,
    sent: &HeaderMap,
    message: Bytes,
    policy: Policy,
    deadline: Instant,
) -> Result<Call, Error> {
    Ok(Call {
        method: Rpc::new(route.method, route.idempotent).streaming(route.event_id.is_some()),
        policy,
        message,
        metadata: headers::metadata(sent, route)?,
        deadline,
    })
}

/// A request's span: goes on with the client's trace.
pub(crate) fn span(headers: &HeaderMap, route: &str) -> Span {
    let id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let span =
        tracing::info_span!("http", otel.kind = "server", http.route = route, request_id = id);
    // Fails only where no tracer is installed: then there is nothing to continue.
    let _ = span.set_parent(telemetry::remote_context(headers));
    span
}

/// Refuses a request whose first line says too much, or what HTTP does not know.
fn understood(parts: &Parts) -> Result<(), Error> {
    if !METHODS.contains(&parts.method.as_str()) {
        let detail = format!("there is no method {}", parts.method);
        return Err(Error::new(Kind::Invalid, problem::METHOD_UNKNOWN, detail));
    }
    let uri = parts.uri.path_and_query().map_or(0, |uri| uri.as_str().len());
    if uri > LONGEST_URI {
        let detail = "path and query are longer than 8 KiB";
        return Err(Error::new(Kind::Invalid, problem::URI_TOO_LONG, detail));
    }
    Ok(())
}

/// The answer to a method that a path of the gateway's own does not take, or to one that asks which it
/// takes.
fn own_method(parts: &Parts) -> Option<Response<Full<Bytes>>> {
    match parts.method {
        Method::GET | Method::HEAD => None,
        Method::OPTIONS => Some(headers::options(READ)),
        _ => {
            let failed = understood(parts).map_or_else(Failed::from, |()| not_allowed(READ));
            Some(refuse(parts, &failed))
        }
    }
}

/// The same of a path that takes `allow` and not this method.
fn takes(method: &Method, allow: &str) -> Result<Response<Body>, Failed> {
    if *method == Method::OPTIONS {
        return Ok(headers::options(allow).map(Body::new));
    }
    Err(not_allowed(allow))
}

/// What a page takes, by its refusal of another method.
fn of_page(refusal: &HeaderMap) -> String {
    let allow = refusal.get(header::ALLOW).and_then(|allow| allow.to_str().ok());
    let mut methods: Vec<&str> =
        allow.unwrap_or_default().split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.join(", ")
}

fn not_allowed(allow: &str) -> Failed {
    let detail = format!("this path takes {allow}");
    let error = Error::new(Kind::Invalid, problem::METHOD_NOT_ALLOWED, detail);
    Failed { allow: Some(allow.to_owned()), ..error.into() }
}

/// The whole body. One that is not empty must be JSON, unless the route takes any.
async fn read(route: &Route, parts: &Parts, body: Incoming) -> Result<Bytes, Error> {
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return Error::new(Kind::Invalid, problem::BODY_TOO_LARGE, "the body is over 1 MiB");
        }
        Error::new(Kind::Invalid, "BODY_BROKEN", "the request body ended too early")
    })?;
    let body = body.to_bytes();
    if !body.is_empty() {
        coding::not_coded(&parts.headers)?;
    }
    if !body.is_empty()
        && route.takes == Media::Json
        && !is_json(parts.headers.get(header::CONTENT_TYPE))
    {
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
    let mut response =
        problem::response(&failed.status, parts.uri.path(), base::error::trace_id().as_deref());
    if let Some(allow) = failed.allow.as_deref().and_then(|allow| allow.parse().ok()) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
