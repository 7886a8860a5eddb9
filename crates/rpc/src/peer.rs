//! A peer: one upstream, and the whole stack in front of it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::{Error, fail_point};
use bytes::Bytes;
use http::HeaderMap;
use prost::Message as _;
use schema::Unary;
use settings::PeerSettings;
use telemetry::calls::{self, MADE};
use tokio::time::{Instant, timeout};
use tonic::{
    Code,
    metadata::{Ascii, MetadataMap, MetadataValue},
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::{Service as _, ServiceBuilder};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    Call, Channel, Failure, Method, Policy, Reply,
    admission::{Admission, AdmissionLayer},
    balance::Balance,
    breaker::{Breaker, BreakerLayer},
    deadline::{Deadline, DeadlineLayer},
    outside::ServingStatus,
    pool::Pool,
    retry::{Retry, RetryLayer},
};

const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// What all calls to one upstream share.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections to each endpoint.
    pub connections: usize,
    /// Calls under way at once; one more is refused.
    pub concurrency: usize,
    /// Retries in a row, before only one in ten calls may be retried.
    pub retry_tokens: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 2, concurrency: 1024, retry_tokens: 100 }
    }
}

/// One upstream. Clones share its connections and its limits.
#[derive(Clone)]
pub struct Peer {
    service: &'static str,
    stack: Admission<Deadline<Retry<Breaker<Balance>>>>,
    pool: Pool,
    credentials: Option<Arc<dyn Credentials>>,
    on_behalf_of: Option<Uuid>,
}

/// Who a call comes from.
pub trait Credentials: Send + Sync {
    /// The value of `authorization` at this time, on behalf of a member or of nobody in particular.
    fn authorization(
        &self,
        now: SystemTime,
        on_behalf_of: Option<Uuid>,
    ) -> Result<MetadataValue<Ascii>, Error>;
}

impl Peer {
    /// A peer with the default limits at `address`: one or several, with commas between; a name may
    /// stand for several endpoints. Connects when it is first called; needs a tokio runtime.
    /// [`unary`](Self::unary) sends these credentials.
    pub fn new(
        service: &'static str,
        address: &str,
        credentials: Option<Arc<dyn Credentials>>,
    ) -> Result<Self, Error> {
        Self::with_limits(service, address, credentials, Limits::default())
    }

    /// A peer with limits of its own.
    pub fn with_limits(
        service: &'static str,
        address: &str,
        credentials: Option<Arc<dyn Credentials>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        Self::at(service, address, None, credentials, limits)
    }

    /// A service where the settings say that it is, by TLS where its address says https.
    pub fn of(
        service: &'static str,
        peers: &PeerSettings,
        credentials: Option<Arc<dyn Credentials>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let tls = tls::Connector::of(peers)?;
        Self::at(service, &peers.address(service), tls.as_ref(), credentials, limits)
    }

    fn at(
        service: &'static str,
        address: &str,
        tls: Option<&tls::Connector>,
        credentials: Option<Arc<dyn Credentials>>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let pool = Pool::new(service, address, tls, limits.connections)?;
        let stack = ServiceBuilder::new()
            // What is too much is refused before it holds anything.
            .layer(AdmissionLayer::new(service, limits.concurrency))
            // Around the retries: they share one deadline.
            .layer(DeadlineLayer { service })
            // Around the breaker: each try asks it anew.
            .layer(RetryLayer::new(service, limits.retry_tokens))
            // It sees every try as it went, but for those that another endpoint made good.
            .layer(BreakerLayer::new(service))
            // Next to the wire: picks the connection, and another when that is no good.
            .service(Balance { pool: pool.clone() });
        Ok(Self { service, stack, pool, credentials, on_behalf_of: None })
    }

    /// Makes a call as it is: nothing is added to its metadata but the deadline.
    pub async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let (begun, method) = (Instant::now(), call.method.path.clone());
        let answer = self.stack.clone().call(call).await;
        MADE.took(&method, code_of(&answer), begun.elapsed());
        answer
    }

    /// Calls a method that may be repeated, as all methods between services may: what they are
    /// about has an id that the caller chose. Sends the credentials and the current trace.
    pub async fn unary<Q, R>(
        &self,
        method: Unary<Q, R>,
        request: &Q,
        deadline: Duration,
    ) -> Result<R, Failure>
    where
        Q: prost::Message,
        R: prost::Message + Default,
    {
        let path = method.path;
        let span = tracing::info_span!("rpc", otel.kind = "client", rpc.method = path);
        let reply = async {
            let call = Call {
                method: Method::new(path, method.idempotent),
                policy: Policy::default(),
                message: Bytes::from(request.encode_to_vec()),
                metadata: self.metadata().map_err(|error| Failure::NeverRan(error.into()))?,
                deadline: Instant::now() + deadline,
            };
            fail_point::asking(path);
            let reply = self.call(call).await;
            calls::describe(path, code_of(&reply));
            reply
        };
        let reply = reply.instrument(span).await;
        fail_point::answered(path);
        R::decode(reply?.message).map_err(|error| {
            Failure::Unknown(Error::internal(format!("the answer to {path}: {error}")).into())
        })
    }

    /// Whether the upstream says within this time that it is well. Asked once and past the breaker, which it
    /// does not open: to know how the upstream is, not to call it.
    pub async fn is_healthy(&self, within: Duration) -> bool {
        let request = HealthCheckRequest { service: self.service.to_owned() };
        let call = Call {
            method: Method::new(HEALTH, true),
            policy: Policy { attempts: 1, ..Policy::default() },
            message: Bytes::from(request.encode_to_vec()),
            metadata: MetadataMap::new(),
            deadline: Instant::now() + within,
        };
        let answer = timeout(within, Balance { pool: self.pool.clone() }.call(call)).await;
        let Ok(Ok(reply)) = answer else { return false };
        let answer = HealthCheckResponse::decode(reply.message);
        answer.is_ok_and(|answer| answer.status() == ServingStatus::Serving)
    }

    /// The same peer, called on behalf of a member.
    #[must_use]
    pub fn on_behalf_of(&self, member: Uuid) -> Self {
        Self { on_behalf_of: Some(member), ..self.clone() }
    }

    /// The way to its endpoints without all that, for streams.
    pub fn channel(&self) -> Channel {
        Channel { pool: self.pool.clone() }
    }

    fn metadata(&self) -> Result<MetadataMap, Error> {
        let mut headers = HeaderMap::new();
        telemetry::inject(&mut headers);
        let mut metadata = MetadataMap::from_headers(headers);
        if let Some(credentials) = &self.credentials {
            let value = credentials.authorization(SystemTime::now(), self.on_behalf_of)?;
            metadata.insert("authorization", value);
        }
        Ok(metadata)
    }
}

fn code_of(answer: &Result<Reply, Failure>) -> Code {
    answer.as_ref().map_or_else(|failure| failure.status().code(), |_| Code::Ok)
}
