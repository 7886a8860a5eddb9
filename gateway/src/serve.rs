//! Connections: HTTP/1.1 and HTTP/2 without TLS on one port, until told to stop.
//! Knows nothing of what is asked for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::Request;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

use crate::{Gateway, admission::Remote};

/// All headers of a request together.
const LONGEST_HEADERS: usize = 16 * 1024;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Serves until told to stop; then finishes what is under way, but not for longer than `shutdown`.
pub(crate) async fn serve(
    gateway: Gateway,
    listener: TcpListener,
    stop: CancellationToken,
    shutdown: Duration,
) {
    let gateway = Arc::new(gateway);
    let server = server();
    let connections = GracefulShutdown::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (socket, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: some will be free soon.
                tracing::warn!(%error, "connection not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Only costs latency when it fails.
        let _ = socket.set_nodelay(true);
        attend(&server, &connections, Arc::clone(&gateway), socket, Remote(remote));
    }
    drop(listener);
    if tokio::time::timeout(shutdown, connections.shutdown()).await.is_err() {
        tracing::warn!("requests still under way were cut off at the shutdown deadline");
    }
}

fn attend(
    server: &auto::Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    gateway: Arc<Gateway>,
    socket: TcpStream,
    remote: Remote,
) {
    let service = ServiceBuilder::new()
        // The client's own id, or a new one: a response can be found again in its logs and ours.
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(PropagateRequestIdLayer::x_request_id())
        .service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(remote);
            let gateway = Arc::clone(&gateway);
            async move { Ok::<_, Infallible>(gateway.answer(request).await) }
        });
    let service = TowerToHyperService::new(service);
    let connection = server.serve_connection(TokioIo::new(socket), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            // The client's doing: it went away, or spoke something else.
            tracing::debug!(%error, "connection ended");
        }
    });
}

fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(LONGEST_HEADERS);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(16 * 1024)
        .max_concurrent_streams(256)
        .keep_alive_interval(Duration::from_secs(20));
    server
}
