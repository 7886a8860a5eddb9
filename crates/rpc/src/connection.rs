//! Connection: one HTTP/2 connection to one address, by TLS where that says https. Sends and
//! says when it has ended; when to make one and which to use are the matters of
//! `pool` and `balance`.
//!
//! On `h2` itself. A request here is one message, which is there from the start, so
//! that it can leave in one write with its headers. hyper's client, made for bodies
//! that come bit by bit, sends it later, in a task of its own and a write of its own.

use std::{
    future::Future,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, RecvStream,
    client::{Builder, SendRequest},
};
use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};
use tonic::body::Body;
use tower::Service;

use super::{BoxError, metrics};

/// What may be under way towards us, of one answer and of all.
const STREAM_WINDOW: u32 = 2 << 20;
const WINDOW: u32 = 5 << 20;
const LONGEST_HEADERS: u32 = 16 << 10;
/// Finds out within 15 s that the other side has vanished without a word.
const PING_EVERY: Duration = Duration::from_secs(10);
const PONG_WITHIN: Duration = Duration::from_secs(5);

type Sending = Pin<Box<dyn Future<Output = Result<Response<Received>, BoxError>> + Send>>;

/// What is at an address: what it is called, and how it is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Upstream {
    pub(super) authority: Authority,
    /// None: in plain text.
    pub(super) tls: Option<tls::Connector>,
}

impl Upstream {
    /// The port where it does not say.
    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 })
    }
}

/// The name or address of an authority, without brackets.
pub(super) fn host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

/// The other side has not seen the request.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {0}")]
pub(super) struct NotSent(#[source] h2::Error);

/// An open connection. Clones share it; it is closed when the last one has gone and what is under
/// way has ended.
#[derive(Clone)]
pub(super) struct Connection {
    send: SendRequest<Bytes>,
    scheme: Scheme,
    authority: Authority,
    /// Something has come since this was last looked at.
    heard: Arc<AtomicBool>,
}

impl Connection {
    /// Connects; the other half of the answer ends when the connection does. `upstream` is what
    /// is there.
    pub(super) async fn open(
        service: &'static str,
        address: SocketAddr,
        upstream: Upstream,
    ) -> Result<(Self, JoinHandle<()>), BoxError> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let Upstream { authority, tls } = upstream;
        match tls {
            None => Self::over(socket, service, address, (Scheme::HTTP, authority)).await,
            Some(tls) => {
                let socket = tls.connect(host(&authority), socket).await?;
                Self::over(socket, service, address, (Scheme::HTTPS, authority)).await
            }
        }
    }

    async fn over(
        socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        service: &'static str,
        address: SocketAddr,
        (scheme, authority): (Scheme, Authority),
    ) -> Result<(Self, JoinHandle<()>), BoxError> {
        let (send, mut connection) = Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(LONGEST_HEADERS)
            .handshake(socket)
            .await?;
        let pings = connection.ping_pong().ok_or("a connection that pings already")?;
        let heard = Arc::new(AtomicBool::new(false));
        let silence = keep_alive(pings, Arc::clone(&heard));
        let ended = tokio::spawn(async move {
            metrics::connected(service);
            let lost = tokio::select! {
                ended = drive(connection) => ended.err().map(BoxError::from),
                silent = silence => Some(silent),
            };
            if let Some(error) = lost {
                tracing::debug!(upstream = service, %address, %error, "connection lost");
            }
            metrics::disconnected(service);
        });
        Ok((Self { send, scheme, authority, heard }, ended))
    }
}

/// Drives a connection to its end. Whenever there is something to send, whoever is ready comes first:
/// what they have to send too leaves in the same write.
async fn drive(connection: impl Future<Output = Result<(), h2::Error>>) -> Result<(), h2::Error> {
    let mut connection = pin!(connection);
    // A waker of its own: woken again, it would not wait.
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        let polled = connection.as_mut().poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(ended) = polled {
            return ended;
        }
        woken.0.notified().await;
        yield_now().await;
    }
}

struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Ends when nothing is heard for long, and a ping is not answered either.
async fn keep_alive(mut pings: PingPong, heard: Arc<AtomicBool>) -> BoxError {
    let heard = || heard.swap(false, Ordering::Relaxed);
    loop {
        sleep(PING_EVERY).await;
        if heard() {
            continue;
        }
        let mut pong = pin!(pings.ping(Ping::opaque()));
        loop {
            match timeout(PONG_WITHIN, &mut pong).await {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => return error.into(),
                // Too busy to answer it, but there.
                Err(_) if heard() => {}
                Err(_) => return "it does not answer pings".into(),
            }
        }
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Received>;
    type Error = BoxError;
    type Future = Sending;

    /// Always ready: what cannot be sent fails as never sent.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Sending {
        let Self { send, scheme, authority, heard } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let mut uri = std::mem::take(&mut parts.uri).into_parts();
            uri.scheme = Some(scheme);
            uri.authority = Some(authority);
            parts.uri = Uri::from_parts(uri)?;
            let message = body.collect().await?.to_bytes();
            let mut send = send.ready().await.map_err(NotSent)?;
            let request = Request::from_parts(parts, ());
            let (response, mut stream) = send.send_request(request, false).map_err(NotSent)?;
            // h2 keeps it until the other side has room for it.
            stream.send_data(message, true)?;
            let response = response.await?;
            heard.store(true, Ordering::Relaxed);
            Ok(response.map(|stream| Received { stream, heard }))
        })
    }
}

/// The body of an answer.
pub struct Received {
    stream: RecvStream,
    heard: Arc<AtomicBool>,
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let Self { stream, heard } = &mut *self;
        let frame = match ready!(stream.poll_data(cx)).transpose()? {
            Some(data) => {
                heard.store(true, Ordering::Relaxed);
                stream.flow_control().release_capacity(data.len())?;
                Some(Frame::data(data))
            }
            None => ready!(stream.poll_trailers(cx))?.map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_fallen_silent_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let authority = address.to_string().parse().expect("an authority");
        let upstream = Upstream { authority, tls: None };
        let (opened, accepted) =
            tokio::join!(Connection::open("shop", address, upstream), listener.accept());
        let ((_connection, ended), _silent) = (opened.expect("opens"), accepted.expect("accepts"));
        let begun = Instant::now();
        ended.await.expect("ends");
        let waited = begun.elapsed();
        assert!(
            (PING_EVERY + PONG_WITHIN..Duration::from_secs(20)).contains(&waited),
            "{waited:?}"
        );
    }
}
