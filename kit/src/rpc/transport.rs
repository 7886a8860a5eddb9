//! Transport: one try of a call over HTTP/2. Moves bytes: it neither encodes nor
//! decodes messages. Sends the upstream what is left of the deadline.

use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::Extensions;
use tokio::time::Instant;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};
use tower::Service;

use super::{Answer, Call, Failure, Reply};

/// Calls over a channel.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) service: &'static str,
    pub(super) channel: Channel,
}

impl Service<Call> for Transport {
    type Response = Reply;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Answer {
        let Self { service, channel } = self.clone();
        Box::pin(async move {
            let read = |status| Failure::read(service, status);
            let mut grpc = Grpc::new(channel);
            grpc.ready().await.map_err(|error| read(Status::from_error(Box::new(error))))?;
            let mut request = Request::from_parts(call.metadata, Extensions::new(), call.message);
            request.set_timeout(call.deadline.duration_since(Instant::now()));
            let response = grpc.unary(request, call.method.path, Raw).await.map_err(read)?;
            let (metadata, message, _) = response.into_parts();
            Ok(Reply { message, metadata })
        })
    }
}

/// Messages as they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::rpc::{Limits, Peer, testing::call};

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
        let peer = Peer::new("shop", &address, None).expect("peer");
        let mut call = call();
        call.policy.attempts = 1;
        call.deadline = Instant::now() + Duration::from_secs(5);
        let failure = peer.call(call).await.expect_err("lost");
        assert!(failure.is_unknown(), "{failure:?}");
        upstream.await.expect("upstream");
    }
}
