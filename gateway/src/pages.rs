//! Pages beside the API, on the same listener: whatever has no route goes to them. They call the
//! services by gRPC, through the gateway and under its policies, as a client would.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use base::{Error, error::Kind};
use futures_util::future::BoxFuture;
use http::request::Parts;
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tower::{Service, ServiceExt as _};

use crate::Gateway;

/// The gateway from within its process: takes requests of gRPC, from whom and from where they say.
#[derive(Clone)]
pub struct Api(pub(crate) Arc<Gateway>);

impl Service<http::Request<Body>> for Api {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move { Ok(gateway.grpc(request).await) })
    }
}

/// The pages, by their paths.
#[derive(Clone)]
pub(crate) struct Pages(Router);

impl Pages {
    pub(crate) fn of(pages: Router) -> Self {
        let layer = middleware::from_fn(matched);
        let pages = if pages.has_routes() { pages.route_layer(layer) } else { pages };
        Self(pages.fallback(nothing))
    }

    /// The path of the page's route, empty if there is none, and what the page answers; a verb that it
    /// does not take is 405 with `Allow`, for the gateway to say why.
    pub(crate) async fn answer(
        &self,
        parts: Parts,
        body: Incoming,
    ) -> (&'static str, Result<http::Response<Body>, Status>) {
        let request = Request::from_parts(parts, axum::body::Body::new(body));
        let Ok(mut response) = self.0.clone().oneshot(request).await;
        let route = response.extensions_mut().remove::<Matched>().map(|Matched(path)| path);
        let answer = match response.extensions_mut().remove::<Status>() {
            Some(status) => Err(status),
            None => Ok(response.map(Body::new)),
        };
        (route.unwrap_or_default(), answer)
    }
}

/// The path of the route that answers.
#[derive(Clone)]
struct Matched(&'static str);

async fn matched(path: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Matched(base::intern(path.as_str())));
    response
}

async fn nothing() -> Response {
    let error = Error::new(Kind::NotFound, "NO_SUCH_PATH", "there is nothing at this path");
    let mut response = Response::default();
    response.extensions_mut().insert(Status::from(error));
    response
}
