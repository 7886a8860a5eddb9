//! Stands around all pages. Nothing that another site's page sends is done; each response says what a
//! browser may load, and that nobody else may frame or keep it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
    routing,
};
use base::{Error, error::Kind};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts};
use tonic::Status;

use crate::{
    Api, Web, account, cookie,
    failure::Failure,
    layout::{self, Notice},
    visit::Visit,
};

/// All is from here, nothing is inline, nobody frames it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What no other page has: for people a page that says so, for programs the API's problem.
pub(crate) fn router() -> Router {
    Router::new().route("/{*path}", routing::any(nothing))
}

async fn nothing(uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let page = accepts.is_some_and(|accept| accept.contains("text/html"));
    if page && !uri.path().starts_with("/v1/") {
        return Failure::not_found().into_response();
    }
    let error = Error::new(Kind::NotFound, "NO_SUCH_PATH", "there is nothing at this path");
    let mut response = Response::default();
    response.extensions_mut().insert(Status::from(error));
    response
}

/// Finds out who visits, has the page made, and sees to what all pages have.
pub(crate) async fn around(
    State((web, api)): State<(Arc<Web>, Api)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let visit = Visit::of(&web, &api, &parts);
    let response = if !parts.method.is_safe() && is_foreign(&parts) {
        Failure::foreign().into_response()
    } else {
        parts.extensions.insert(visit.clone());
        next.run(Request::from_parts(parts, body)).await
    };
    finish(&visit, response)
}

/// Whether a page of another site sends this. Browsers say so, each in one way at least; what says
/// nothing is no browser, and does not have the form's signature.
fn is_foreign(parts: &Parts) -> bool {
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = said("sec-fetch-site") {
        return !["same-origin", "none"].contains(&site);
    }
    let Some(origin) = parts.headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|it| it.parse::<Uri>().ok());
    let origin = origin.and_then(|it| it.authority().cloned());
    let asked = parts.uri.authority().map(http::uri::Authority::as_str);
    let asked = asked.or_else(|| said(header::HOST.as_str()));
    !origin.zip(asked).is_some_and(|(origin, asked)| origin.as_str().eq_ignore_ascii_case(asked))
}

fn finish(visit: &Visit, mut response: Response) -> Response {
    if response.extensions().get::<Status>().is_some() {
        return response;
    }
    if visit.is_read && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // Where forms go there is nothing to read.
        response.extensions_mut().insert(Failure::not_found());
    }
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = failed(visit, &failure);
    }
    let said = response.headers().get(header::CONTENT_TYPE);
    let is_page = said.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page && visit.notice.is_some() {
        visit.set(&mut response, cookie::NOTICE, "", 0);
    }
    let mut set = response.headers().get_all(header::SET_COOKIE).iter();
    let renewed = set.any(|it| it.as_bytes().starts_with(cookie::VISITOR.as_bytes()));
    if let Some(cookie) = visit.visitor_cookie().filter(|_| visit.is_new && !renewed) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: a browser would then hide from us which site a form is from.
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// A page that says what went wrong; whoever has to sign in is sent there, and back again.
fn failed(visit: &Visit, failure: &Failure) -> Response {
    if failure.wants_sign_in() {
        let mut response = visit.go(&account::sign_in_for(visit), Some(Notice::SignInFirst));
        if visit.headers.contains_key(header::COOKIE) {
            visit.set(&mut response, cookie::SESSION, "", 0);
        }
        return response;
    }
    if visit.is_read && failure.is_invalid() {
        // Nobody has filled anything in: the address is wrong.
        return layout::failed(visit, &Failure::not_found());
    }
    layout::failed(visit, failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(headers: &[(&str, &str)]) -> bool {
        let mut request = http::Request::post("/cart").header("host", "shop.example:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_foreign(&request.body(()).expect("a request").into_parts().0)
    }

    #[test]
    fn only_pages_of_this_site_send_forms() {
        assert!(!foreign(&[("origin", "https://shop.example:8080")]));
        assert!(!foreign(&[("sec-fetch-site", "same-origin"), ("origin", "null")]));
        assert!(!foreign(&[]), "no browser: the signature decides");
        for headers in [
            ("origin", "https://elsewhere.example"),
            ("origin", "https://shop.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(foreign(&[headers]), "{headers:?}");
        }
    }
}
