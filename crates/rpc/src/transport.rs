//! Transport: one try of a call over one connection. Moves bytes: it neither encodes nor
//! decodes messages. Sends the upstream what is left of the deadline.

use bytes::Bytes;
use http::Extensions;
use tokio::time::Instant;
use tonic::{Request, client::Grpc};
use tower::Service;

use super::{Answer, Call, Failure, Messages, Raw, Reply, connection::Connection};

/// Calls over a connection.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) service: &'static str,
    pub(super) connection: Connection,
}

impl Service<Call> for Transport {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        let Self { service, connection } = self.clone();
        Box::pin(async move {
            let read = |status| Failure::read(service, status);
            let mut grpc = Grpc::new(connection);
            let mut request = Request::from_parts(call.metadata, Extensions::new(), call.message);
            if call.method.streaming {
                // Without a timeout: the deadline is for the headers, not for the stream's length.
                let response = grpc.server_streaming(request, call.method.path, Raw).await;
                let (metadata, stream, _) = response.map_err(read)?.into_parts();
                let messages = Some(Messages::new(service, stream));
                return Ok(Reply { message: Bytes::new(), metadata, messages });
            }
            request.set_timeout(call.deadline.duration_since(Instant::now()));
            let response = grpc.unary(request, call.method.path, Raw).await.map_err(read)?;
            let (metadata, message, _) = response.into_parts();
            Ok(Reply { message, metadata, messages: None })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::{net::TcpListener, sync::Notify};

    use super::*;
    use crate::{Limits, Peer, connection::Upstream, testing::call};

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_never_ran_the_call() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = format!("http://{}", listener.local_addr().expect("address"));
        drop(listener);
        let peer = Peer::with_limits("shop", &address, None, Limits::default()).expect("peer");
        let failure = peer.call(call()).await.expect_err("refused");
        assert!(failure.never_ran(), "{failure:?}");
    }

    #[tokio::test]
    async fn a_connection_lost_in_the_middle_leaves_the_outcome_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = format!("http://{}", listener.local_addr().expect("address"));
        let upstream = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.expect("accepts");
            let mut connection = h2::server::handshake(socket).await.expect("handshake");
            let call = connection.accept().await.expect("a call");
            drop(call);
            drop(connection);
        });
        // Of two connections, the call could take the one that nobody reads.
        let limits = Limits { connections: 1, ..Limits::default() };
        let peer = Peer::with_limits("shop", &address, None, limits).expect("peer");
        let mut call = call();
        call.policy.attempts = 1;
        call.deadline = Instant::now() + Duration::from_secs(5);
        let failure = peer.call(call).await.expect_err("lost");
        assert!(failure.is_unknown(), "{failure:?}");
        upstream.await.expect("upstream");
    }

    #[tokio::test]
    async fn what_comes_after_an_upstreams_last_call_never_ran() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("address");
        let (heard, enough) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let upstream = tokio::spawn({
            let (heard, enough) = (Arc::clone(&heard), Arc::clone(&enough));
            async move {
                let (socket, _) = listener.accept().await.expect("accepts");
                let mut connection = h2::server::handshake(socket).await.expect("handshake");
                let _call = connection.accept().await.expect("a call");
                heard.notify_one();
                enough.notified().await;
                connection.abrupt_shutdown(h2::Reason::NO_ERROR);
                let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
            }
        });
        let authority = address.to_string().parse().expect("an authority");
        let plain = Upstream { authority, tls: None };
        let opened = Connection::open("shop", address, plain).await;
        let (connection, _) = opened.expect("connects");
        let mut transport = Transport { service: "shop", connection };
        let first = tokio::spawn(transport.call(call()));
        heard.notified().await;
        let second = tokio::spawn(transport.call(call()));
        // Until it is on its way.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        enough.notify_one();
        let failure = first.await.expect("ends").expect_err("cut off");
        assert!(failure.is_unknown(), "{failure:?}");
        let failure = second.await.expect("ends").expect_err("not taken");
        assert!(failure.never_ran(), "{failure:?}");
        upstream.await.expect("upstream");
    }
}
