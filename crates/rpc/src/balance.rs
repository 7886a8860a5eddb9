//! Balance: each call goes to the less busy of two connections taken at random
//! (Mitzenmacher, The Power of Two Choices, 2001), busy by peak EWMA (Finagle's;
//! see `tower::load::PeakEwma`). An endpoint that cannot be reached costs no call:
//! what provably never ran goes to the next one at once, which is no retry.
//!
//! `tower::balance` does the same for one caller at a time, behind a queue, and
//! waits for ever when nobody can be reached; hence this.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

use super::{
    Answer, BoxError, Call, Failure, Reply,
    connection::Received,
    pool::{Link, Pool, View},
};

/// Calls an upstream's endpoints.
#[derive(Clone)]
pub(super) struct Balance {
    pub(super) pool: Pool,
}

impl Service<Call> for Balance {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        Box::pin(run(self.pool.clone(), call))
    }
}

async fn run(pool: Pool, call: Call) -> Result<Reply, Failure> {
    let mut tries = 0;
    loop {
        let link = pool.choose(less_busy).await?;
        let answer = link.call(call.clone()).await;
        match answer {
            Err(failure) if failure.never_ran() && failure.of_transport() => {
                link.give_up();
                tries += 1;
                // Each may have been about to close; a fresh one as well is a reason to stop.
                if tries > pool.size() {
                    return Err(failure);
                }
            }
            answer => return answer,
        }
    }
}

/// The less busy of two, if there are two.
fn less_busy(view: &View) -> Option<Link> {
    let links = &view.links;
    let one = match links.len() {
        0 | 1 => links.first()?,
        many => {
            let one = rand::random_range(0..many);
            // Any but that one.
            let other = (one + rand::random_range(1..many)) % many;
            let (one, other) = (&links[one], &links[other]);
            if other.load() < one.load() { other } else { one }
        }
    };
    Some(one.clone())
}

/// An upstream's endpoints as one channel, for streams: each request goes to one that is there.
/// Nothing is repeated.
#[derive(Clone)]
pub struct Channel {
    pub(super) pool: Pool,
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Received>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Received>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pool = self.pool.clone();
        Box::pin(async move {
            let link = pool.choose(less_busy).await.map_err(Failure::into_status)?;
            let answer = link.connection.clone().call(request).await;
            answer.inspect_err(|_| link.give_up())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{net::TcpListener, task::JoinSet, time::timeout};
    use tonic::client::Grpc;

    use super::*;
    use crate::{
        Limits, Peer,
        testing::{Server, call, keyed},
    };

    fn peer(servers: &[&str]) -> Peer {
        let addresses: Vec<_> = servers.iter().map(|address| format!("http://{address}")).collect();
        Peer::new("shop", &addresses.join(","), None).expect("a peer")
    }

    /// So many calls, twenty at a time; how many of them failed.
    async fn storm(peer: &Peer, calls: usize, call: fn() -> Call) -> usize {
        let mut callers = JoinSet::new();
        for _ in 0..20 {
            let peer = peer.clone();
            callers.spawn(async move {
                let mut failed = 0;
                for _ in 0..calls / 20 {
                    failed += usize::from(peer.call(call()).await.is_err());
                }
                failed
            });
        }
        callers.join_all().await.into_iter().sum()
    }

    async fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        listener.local_addr().expect("address").to_string()
    }

    #[tokio::test]
    async fn an_endpoint_that_is_down_costs_no_call() {
        let (one, dead) = (Server::start(Duration::ZERO).await, nobody().await);
        let peer = peer(&[&dead, &one.address]);
        assert_eq!(storm(&peer, 1_000, call).await, 0, "without a key: nothing may be repeated");
        assert_eq!(one.calls(), 1_000);
    }

    #[tokio::test]
    async fn an_endpoint_that_dies_costs_no_call_and_gets_its_share_when_it_is_back() {
        let one = Server::start(Duration::from_millis(1)).await;
        let two = Server::start(Duration::from_millis(1)).await;
        let peer = peer(&[&one.address, &two.address]);
        let dying = two.address.clone();
        let death = async {
            let enough = async {
                while two.calls() < 100 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(20), enough).await.expect("it gets its share");
            two.die().await;
        };
        let (failed, ()) = tokio::join!(storm(&peer, 1_000, keyed), death);
        assert_eq!(failed, 0);

        let back = Server::at(&dying, Duration::ZERO).await;
        let again = async {
            while back.calls() == 0 {
                assert_eq!(storm(&peer, 20, call).await, 0);
            }
        };
        timeout(Duration::from_secs(20), again).await.expect("it is back");
    }

    #[tokio::test]
    async fn a_slow_endpoint_gets_less() {
        let quick = Server::start(Duration::from_millis(5)).await;
        // So slow that a busy machine makes no difference.
        let slow = Server::start(Duration::from_millis(300)).await;
        let peer = peer(&[&slow.address, &quick.address]);
        assert_eq!(storm(&peer, 400, call).await, 0);
        assert!(slow.calls() > 0, "it is not left out");
        assert!(slow.calls() * 3 < quick.calls(), "{} and {}", slow.calls(), quick.calls());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_each_endpoint_has_so_many_connections() {
        let server = Server::start(Duration::from_millis(5)).await;
        let port = server.address.rsplit(':').next().expect("a port").to_owned();
        let limits = Limits { connections: 3, ..Limits::default() };
        let address = format!("http://localhost:{port}");
        let peer = Peer::with_limits("shop", &address, None, limits).expect("a peer");
        assert_eq!(storm(&peer, 200, call).await, 0);
        assert_eq!(server.connections(), 3);
    }

    #[tokio::test]
    async fn when_nobody_is_there_that_is_known_at_once_and_so_is_their_return() {
        let dead = nobody().await;
        let peer = peer(&[&dead, &nobody().await]);
        let refused = timeout(Duration::from_secs(5), peer.call(call())).await.expect("in time");
        assert!(refused.expect_err("nobody is there").never_ran());
        let back = Server::at(&dead, Duration::ZERO).await;
        assert!(peer.call(call()).await.is_ok(), "it was looked for again, without a pause");
        assert_eq!(back.calls(), 1);
    }

    #[tokio::test]
    async fn a_stream_begins_at_an_endpoint_that_is_there() {
        let (one, dead) = (Server::start(Duration::ZERO).await, nobody().await);
        let channel = peer(&[&dead, &one.address]).channel();
        for begun in 1..=20 {
            let mut grpc = Grpc::new(channel.clone());
            let path = http::uri::PathAndQuery::from_static("/shop.v1.Shop/Watch");
            let request = tonic::Request::new(bytes::Bytes::new());
            let stream = grpc.server_streaming(request, path, crate::Raw).await;
            assert!(stream.is_ok());
            assert_eq!(one.calls(), begun);
        }
    }

    #[test]
    fn an_address_is_http_with_a_host() {
        for wrong in ["https://a:1", "a:1", "", "http://a:1,b", "http://"] {
            let error = Peer::new("shop", wrong, None).err().expect("not an address").to_string();
            assert!(error.contains("peers: the address of shop"), "{error}");
        }
    }
}
