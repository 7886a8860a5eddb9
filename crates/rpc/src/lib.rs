//! Calls from one process to another. One call is one value, [`Call`], and
//! everything between the caller and the wire is a layer that works on it:
//!
//! ```text
//! admission   refuses at once what is too much          (what a queue would only delay)
//! deadline    one for all tries                         (so that retries cannot outlive it)
//! retry       of what may run twice, within a budget    (so that an outage is not amplified)
//! breaker     leaves an upstream alone that fails       (so that waiting callers do not pile up)
//! balance     the less busy of two connections          (so that a slow or dead endpoint costs little)
//! transport   the call itself: bytes out, bytes back
//! ```
//!
//! A server stream is a call until its headers are there; the stack ends at that
//! point, and what goes wrong later is not retried.
//!
//! [`Peer`] is that stack for one upstream. Nothing here encodes or decodes a
//! message but [`Peer::unary`]. A call that did not succeed is a [`Failure`],
//! which says whether it can have had an effect.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use rpc::{Failure, Peer};
//! use schema::Unary;
//!
//! # #[derive(Clone, PartialEq, prost::Message)]
//! # struct Ping {}
//! // As generated from a contract.
//! const PING: Unary<Ping, Ping> = Unary::new("/test.v1.PingService/Ping", true);
//!
//! # async fn example() -> Result<(), base::Error> {
//! let peer = Peer::new("ping", "http://ping:50051", None)?;
//! match peer.unary(PING, &Ping {}, Duration::from_secs(1)).await {
//!     Ok(Ping {}) => println!("done"),
//!     Err(failure) if failure.never_ran() => println!("nothing has happened"),
//!     Err(failure) if failure.is_unknown() => println!("in doubt"),
//!     Err(failure) => println!("refused: {}", failure.status()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It refuses to retry what may not run twice, and to hide that an outcome is unknown.

/// What all layers are alike in, as items of their `impl Service<Call>`: always ready, see [`Step`].
macro_rules! always_ready {
    () => {
        type Response = $crate::Reply;
        type Error = $crate::Failure;
        type Future = $crate::Answer;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), $crate::Failure>> {
            std::task::Poll::Ready(Ok(()))
        }
    };
}

mod admission;
mod balance;
mod breaker;
mod connection;
mod deadline;
mod failure;
mod messages;
mod metrics;
pub mod outside;
mod peer;
mod pool;
mod retry;
#[cfg(test)]
mod testing;
mod transport;
mod window;

use std::time::Duration;

use bytes::Bytes;
use http::uri::PathAndQuery;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tower::Service;

pub use balance::Channel;
pub use breaker::BreakerLimits;
pub use failure::Failure;
pub use messages::{Messages, Raw};
pub use peer::{Credentials, Limits, Peer};

/// The metadata key that lets a call be repeated: its callee does it once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A method, as far as calling it goes.
#[derive(Clone, Debug)]
pub struct Method {
    /// `/<package>.<Service>/<Method>`.
    pub path: PathAndQuery,
    /// Running it twice does no more than running it once.
    pub idempotent: bool,
    /// It answers with a stream of messages.
    pub streaming: bool,
}

impl Method {
    /// A method by its path. Panics when that is not a path, which the contracts rule out.
    pub fn new(path: &'static str, idempotent: bool) -> Self {
        Self { path: PathAndQuery::from_static(path), idempotent, streaming: false }
    }

    /// The same method, when it answers with a stream of messages.
    #[must_use]
    pub fn streaming(self, streaming: bool) -> Self {
        Self { streaming, ..self }
    }
}

/// What may differ from call to call.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Tries in all; 1 means no retry.
    pub attempts: u32,
    /// The longest pause before the first retry; it doubles with each.
    pub backoff: Duration,
    /// The longest pause before any retry.
    pub max_backoff: Duration,
    /// With which other calls it shares a breaker.
    pub class: Class,
    /// When that breaker opens, as far as this call has a say.
    pub breaker: BreakerLimits,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            class: Class::WRITE,
            breaker: BreakerLimits::default(),
        }
    }
}

/// Calls to an upstream that are likely to fail together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(&'static str);

impl Class {
    /// Calls that change nothing.
    pub const READ: Self = Self("read");
    /// Calls that change something.
    pub const WRITE: Self = Self("write");

    /// A class by its name. Each name is kept for as long as the process runs: they come from a
    /// configuration, never from a request.
    pub fn named(name: &str) -> Self {
        Self(base::intern(name))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is called.
    pub method: Method,
    /// How.
    pub policy: Policy,
    /// The request, encoded.
    pub message: Bytes,
    /// What is sent along.
    pub metadata: MetadataMap,
    /// When the caller stops waiting, however many tries that takes.
    pub deadline: Instant,
}

impl Call {
    /// True when the call may run twice: its method is idempotent, or it carries a key.
    pub fn repeatable(&self) -> bool {
        self.method.idempotent || self.metadata.contains_key(IDEMPOTENCY_KEY)
    }
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The response, encoded; empty when it is a stream.
    pub message: Bytes,
    /// What came along; of a single response the trailers too.
    pub metadata: MetadataMap,
    /// The messages of a stream.
    pub messages: Option<Messages>,
}

/// What every layer wraps and is: a service that is always ready, because what
/// waits does so inside the call, where the deadline sees it.
trait Step:
    Service<Call, Response = Reply, Error = Failure, Future: Send> + Clone + Send + 'static
{
}

impl<S> Step for S where
    S: Service<Call, Response = Reply, Error = Failure, Future: Send> + Clone + Send + 'static
{
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Answer =
    std::pin::Pin<Box<dyn std::future::Future<Output = Result<Reply, Failure>> + Send + 'static>>;
