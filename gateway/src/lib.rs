//! REST to gRPC. Moves bytes: JSON to protobuf bytes, a call, and back. Holds no
//! state, no rule of the shop and no route of its own: the routes are the
//! contracts' `google.api.http` options, emitted by the build.
//!
//! A request's path, one module per step:
//!
//! 1. `serve` takes the connection, with limits on its headers.
//! 2. `answer` sees to the rest: it answers `/healthz`, `/openapi.json`, `/docs` and
//!    `/.well-known/jwks.json` itself. What has no route goes to `pages`.
//! 3. `transcoder` finds the row for verb and path: 404, or 405 with `Allow`; `policies`
//!    has what an operator says of its method. `admission` lets the request in, or
//!    not: 429, 503, at once. For one that is in the trace's span is opened, and `deadline`
//!    sets the one that holds for all that follows.
//! 4. The token is verified: 401 if it is not valid, or missing where the contract
//!    wants one. It is sent on; services verify it again and decide what it is
//!    good for.
//! 5. `headers` picks what goes on besides the message: the token, the
//!    `Idempotency-Key` (minted where there is none, so that step 7 may retry),
//!    `If-Match`, the trace. All else ends here.
//! 6. `transcoder` makes the request's bytes of body, path and query, strictly.
//! 7. `rpc` makes the call: deadline, retry, breaker, balance.
//! 8. `transcoder` makes JSON of the response's bytes; `headers` adds `201` with
//!    `Location` and `Idempotency-Replayed` where the service said so. Of a server
//!    stream `stream` makes what the client accepts, message by message.
//! 9. Whatever goes wrong becomes a `problem`; `observe` counts it all.
//!
//! A request that is gRPC or gRPC-Web skips 3, 6 and 8: `grpc` passes its bytes on
//! as they are, to the same methods and by the same rules. `cors` says which pages
//! may ask from a browser.

mod accept;
mod admission;
mod answer;
mod coding;
mod cors;
mod deadline;
mod grpc;
mod headers;
#[cfg(test)]
mod mapping;
mod observe;
mod openapi;
mod pages;
mod policies;
mod problem;
mod serve;
mod stream;

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::Router;
use base::{Error, Stop};
use bytes::Bytes;
use identity::auth::Verifier;
use rpc::{Limits, Peer};
use settings::Settings;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tower_http::cors::CorsLayer;
use transcoder::Route;

use crate::{admission::Admission, pages::Pages, policies::Policies};

/// The contracts as an encoded descriptor set, for those who put the gateway and services together.
pub use contracts::DESCRIPTORS;
pub use pages::Api;

/// buffa's types of the messages that travel over REST.
#[expect(
    unreachable_pub,
    elided_lifetimes_in_paths,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    clippy::upper_case_acronyms,
    reason = "generated from the contracts, which carry the documentation"
)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

#[allow(
    unreachable_patterns,
    unreachable_pub,
    unused_mut,
    clippy::pedantic,
    reason = "emitted, also of messages without fields"
)]
mod rows {
    include!(concat!(env!("OUT_DIR"), "/routes.rs"));
}

use rows::ROUTES;

/// The route of a method, by the end of its path.
#[cfg(test)]
fn route(method: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.method.ends_with(method)).expect("a route")
}

/// The gateway, ready to serve.
pub struct Gateway {
    router: transcoder::Router,
    /// The rows of gRPC: one a method.
    methods: HashMap<&'static str, &'static Route>,
    peers: HashMap<&'static str, Peer>,
    policies: watch::Receiver<Arc<Policies>>,
    admission: Admission,
    verifier: Verifier,
    jwks: Bytes,
    cors: Option<CorsLayer>,
    openapi: Bytes,
    deadline: Duration,
    shutdown: Duration,
    tls: Option<tls::Acceptor>,
    stop: Stop,
}

impl Gateway {
    /// Gets everything ready; needs a tokio runtime. The services need not be up: they are
    /// connected to when they are first called.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let mut peers = HashMap::new();
        for Route { service, .. } in ROUTES {
            if !peers.contains_key(service) {
                let connections = settings.peers.connections;
                let limits = Limits { connections, ..Limits::default() };
                peers.insert(*service, Peer::of(service, &settings.peers, None, limits)?);
            }
        }
        let jwks = match settings.auth.jwks.as_str() {
            "" => r#"{"keys":[]}"#.into(),
            keys => keys.to_owned(),
        };
        Ok(Self {
            router: transcoder::Router::new(ROUTES)?,
            methods: ROUTES.iter().map(|route| (route.method, route)).collect(),
            peers,
            policies: policies::follow(&settings.http.policies)?,
            admission: Admission::new(settings.http.proxies),
            verifier: Verifier::new(&settings.auth)?,
            jwks: jwks.into(),
            cors: cors::layer(&settings.http.cors_origins)?,
            openapi: openapi::document(DESCRIPTORS)?,
            deadline: settings.deadline.request(),
            shutdown: settings.deadline.shutdown(),
            tls: tls::Acceptor::of("http.tls", &settings.http.tls, &["h2", "http/1.1"])?,
            stop: Stop::at_once(CancellationToken::new()),
        })
    }

    /// The services that it calls.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        self.peers.keys().copied()
    }

    /// Serves until told to stop; then finishes what is under way, but not for longer than the
    /// shutdown deadline. `pages` are what is beside the API: they get its other paths, and call the
    /// services through it. A response of theirs that has a [`tonic::Status`] among its extensions
    /// becomes its problem.
    pub async fn serve(self, listener: TcpListener, stop: Stop, pages: impl FnOnce(Api) -> Router) {
        let gateway = Arc::new(Self { stop, ..self });
        let pages = Pages::of(pages(Api(Arc::clone(&gateway))));
        serve::serve(gateway, pages, listener).await;
    }

    fn peer(&self, route: &Route) -> Result<&Peer, Error> {
        self.peers.get(route.service).ok_or_else(|| Error::internal("a route without a peer"))
    }
}
