//! Connections by TLS. Handshakes go on beside each other, so that one that is slow
//! delays nobody. Serves nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _, stream};
use tls::{Accepted, Acceptor};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::JoinSet,
};
use tonic::transport::server::{Connected, TcpIncoming};

/// A listener's connections, once their handshakes have succeeded.
pub(crate) fn by_tls(
    listener: TcpIncoming,
    tls: Acceptor,
) -> impl Stream<Item = io::Result<Secure>> {
    let state = (listener, tls, JoinSet::new());
    stream::unfold(state, |(mut listener, tls, mut handshakes)| async move {
        loop {
            tokio::select! {
                accepted = listener.next() => match accepted? {
                    Ok(socket) => {
                        let tls = tls.clone();
                        let peer = socket.peer_addr().ok();
                        handshakes.spawn(async move {
                            tls.accept(socket).await.inspect_err(|error| {
                                // The client's doing: it speaks in plain text, or has no certificate that is
                                // taken.
                                tracing::debug!(?peer, %error, "TLS handshake failed, connection closed");
                            })
                        });
                    }
                    Err(error) => return Some((Err(error), (listener, tls, handshakes))),
                },
                Some(done) = handshakes.join_next() => match done {
                    Ok(Ok(stream)) => {
                        return Some((Ok(Secure(stream)), (listener, tls, handshakes)));
                    }
                    Ok(Err(_)) => {}
                    Err(error) => tracing::error!(%error, "TLS handshake panicked, connection closed"),
                },
            }
        }
    })
}

/// A connection by TLS.
pub(crate) struct Secure(Accepted);

impl Connected for Secure {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
