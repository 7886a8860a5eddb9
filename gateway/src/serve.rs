//! Connections: HTTP/1.1 and HTTP/2 on one port, by TLS where that is configured, until
//! told to stop, and what is the same for all requests. Knows nothing of what is asked for.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::extract::ConnectInfo;
use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tonic::body::Body;
use tower::{Service, ServiceBuilder};
use tower_http::{
    compression::{CompressionBody, CompressionLayer, predicate::Predicate},
    request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
};
use uuid::{Builder, fmt::Hyphenated};

use crate::{Gateway, coding, pages::Pages};

/// All headers of a request together.
const LONGEST_HEADERS: usize = 16 * 1024;
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Smaller bodies fit into a packet as they are.
const WORTH_IT: u64 = 1024;

/// Serves until told to stop; then finishes what is under way, but not for longer than the shutdown
/// deadline.
pub(crate) async fn serve(gateway: Arc<Gateway>, pages: Pages, listener: TcpListener) {
    let (closing, shutdown) = (gateway.stop.closing.clone(), gateway.shutdown);
    let tls = gateway.tls.clone();
    let service = service(gateway, pages);
    let server = server();
    let connections = GracefulShutdown::new();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        let (socket, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: some will be free soon.
                tracing::warn!(%error, "connection not accepted, trying again in 50 ms");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Only costs latency when it fails.
        let _ = socket.set_nodelay(true);
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(remote));
                request
            })
            .service(service.clone());
        let service = TowerToHyperService::new(service);
        let (server, watcher, tls) = (server.clone(), connections.watcher(), tls.clone());
        tokio::spawn(async move {
            let ended = match tls {
                None => {
                    let connection = server.serve_connection(TokioIo::new(socket), service);
                    watcher.watch(connection.into_owned()).await
                }
                Some(tls) => match tls.accept(socket).await {
                    Ok(socket) => {
                        let connection = server.serve_connection(TokioIo::new(socket), service);
                        watcher.watch(connection.into_owned()).await
                    }
                    Err(error) => Err(error.into()),
                },
            };
            if let Err(error) = ended {
                // The client's doing: it went away, or spoke something else.
                tracing::debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    // Connections are told to go: an idle one closes, a busy one after its answers.
    if tokio::time::timeout(shutdown, connections.shutdown()).await.is_err() {
        tracing::warn!("shutdown deadline reached, requests in flight were cut off");
    }
}

/// What stands in front of the gateway, for each request.
fn service(
    gateway: Arc<Gateway>,
    pages: Pages,
) -> impl Service<
    Request<Incoming>,
    Response = Response<CompressionBody<Body>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    let cors = gateway.cors.clone();
    ServiceBuilder::new()
        // The client's own id, or a new one: a response can be found again in its logs and ours.
        .layer(SetRequestIdLayer::x_request_id(Ids))
        .layer(PropagateRequestIdLayer::x_request_id())
        // Around the compression, whose representations have tags of their own.
        .map_response(coding::tagged)
        .map_request(coding::disregard)
        // Inside the ids: what it answers itself has one too.
        .layer(CompressionLayer::new().compress_when(Whole))
        // Inside the compression, which changes the body's type.
        .option_layer(cors)
        .service_fn(move |request: Request<Incoming>| {
            let (gateway, pages) = (Arc::clone(&gateway), pages.clone());
            async move {
                let one_by_one = request.version() < Version::HTTP_2;
                let mut response = gateway.answer(&pages, request).await;
                if one_by_one && gateway.stop.told.is_cancelled() {
                    // Before the connections close: nobody's next request meets one that does.
                    let headers = response.headers_mut();
                    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        })
}

/// Makes ids as `MakeRequestUuid` does, but does not ask the kernel for each.
#[derive(Clone, Copy)]
struct Ids;

impl MakeRequestId for Ids {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let id = Builder::from_random_bytes(rand::random()).into_uuid();
        let mut text = [0; Hyphenated::LENGTH];
        HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).ok().map(RequestId::new)
    }
}

/// Compresses what is there as a whole and worth it; a stream is to be seen as it comes.
#[derive(Clone, Copy)]
struct Whole;

impl Predicate for Whole {
    fn should_compress<B: hyper::body::Body>(&self, response: &Response<B>) -> bool {
        response.body().size_hint().exact().is_some_and(|size| size >= WORTH_IT)
    }
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
