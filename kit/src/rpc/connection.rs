//! Connection: one HTTP/2 connection to one address, in plain text. Sends and
//! says when it has ended; when to make one and which to use are the matters of
//! `pool` and `balance`.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, task::JoinHandle};
use tonic::body::Body;
use tower::Service;

use super::{BoxError, gauge};

type Sending = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

/// An open connection. Clones share it; it is closed when the last one has gone and what is under
/// way has ended.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    send: SendRequest<Body>,
    authority: Authority,
}

impl Connection {
    /// Connects; the other half of the answer ends when the connection does. `authority` is what
    /// the upstream is called.
    pub(super) async fn open(
        service: &'static str,
        address: SocketAddr,
        authority: Authority,
    ) -> Result<(Self, JoinHandle<()>), BoxError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (send, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            // Finds out within 15 s that the other side has vanished without a word.
            .keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(socket))
            .await?;
        let ended = tokio::spawn(async move {
            gauge::connected(service);
            if let Err(error) = connection.await {
                tracing::debug!(upstream = service, %address, %error, "connection lost");
            }
            gauge::disconnected(service);
        });
        Ok((Self { send, authority }, ended))
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Sending;

    /// Always ready: what cannot be sent fails as never sent.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Sending {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        let uri = Uri::from_parts(uri);
        let mut send = self.send.clone();
        Box::pin(async move {
            *request.uri_mut() = uri?;
            Ok(send.send_request(request).await?)
        })
    }
}
