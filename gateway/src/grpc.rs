//! gRPC as it is: the methods that have a route, for clients that speak gRPC, and
//! in browsers gRPC-Web (tonic-web takes its frames off and puts them on). The
//! token's rule, what is sent on and the call are those of REST; nothing is
//! converted. What has no route stays inside: it is unimplemented here.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use rpc::{Raw, Reply};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, body::Body, metadata::MetadataMap, server::Grpc};
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, Service as _, service_fn};
use tracing::Instrument as _;
use transcoder::Route;

use crate::{
    Gateway,
    answer::{self, LONGEST_BODY},
    observe,
    stream::until_closing,
};

/// True for `application/grpc`, `application/grpc-web+proto`, and the like.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

impl Gateway {
    /// Answers a gRPC or gRPC-Web request.
    pub(crate) async fn grpc(&self, request: Request<Body>) -> Response<Body> {
        let (begun, _active) = (Instant::now(), observe::Active::one());
        let route = self.methods.get(request.uri().path()).copied();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let label = route.map_or("", |route| route.method);
        let span = answer::span(request.headers(), label);
        let plain = service_fn(|request| async move {
            let answer = match route {
                Some(route) => self.forward(route, request).await,
                None => Err(Status::unimplemented("there is no such method here")),
            };
            Ok::<_, Infallible>(answer.unwrap_or_else(Status::into_http))
        });
        let answer = GrpcWebLayer::new().layer(plain).call(request);
        let observed = async {
            let Ok(response) = answer.await;
            let status = response.status().as_u16();
            observe::request(&method, &path, label, status, begun.elapsed());
            response
        };
        observed.instrument(span).await
    }

    /// Reads the request, calls, and answers with the response, or with its beginning.
    async fn forward(
        &self,
        route: &'static Route,
        request: Request<Body>,
    ) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let policies = self.policies.borrow().clone();
        let place = self.admission.enter(&policies, route, &parts)?;
        let deadline = self.admit(&policies, route, &parts)?;
        let policy = policies.of(route).calling;
        let request = Request::from_parts(parts, body);
        let place = &place;
        let called = |request: tonic::Request<Bytes>| async move {
            let (metadata, _, message) = request.into_parts();
            let call = answer::call(route, metadata.as_ref(), message, policy, deadline)?;
            self.send(route, place, call).await
        };
        let mut grpc = Grpc::new(Raw).max_decoding_message_size(LONGEST_BODY);
        let answer = async {
            if route.event_id.is_none() {
                let unary = service_fn(|request| async move {
                    let Reply { message, metadata, .. } = called(request).await?;
                    Ok(with_metadata(message, &metadata))
                });
                return grpc.unary(unary, request).await;
            }
            let streaming = service_fn(|request| async move {
                let Reply { messages, metadata, .. } = called(request).await?;
                let messages =
                    messages.ok_or_else(|| Status::internal("a stream without messages"))?;
                let messages = until_closing(messages, self.stop.closing.clone());
                Ok(with_metadata(messages, &metadata))
            });
            grpc.server_streaming(streaming, request).await
        };
        let late = |_| Status::deadline_exceeded("the request took too long");
        timeout_at(deadline, answer).await.map_err(late)
    }
}

/// A response with what a client may know of what came along.
fn with_metadata<T>(message: T, metadata: &MetadataMap) -> tonic::Response<T> {
    let mut response = tonic::Response::new(message);
    for key in ["idempotency-replayed", "location"] {
        if let Some(value) = metadata.get(key) {
            response.metadata_mut().insert(key, value.clone());
        }
    }
    response
}
