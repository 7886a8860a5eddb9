//! `/ops`: who is let in, and what they get.

use std::{
    convert::Infallible,
    net::SocketAddr,
    task::{Context, Poll},
    time::SystemTime,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use futures_util::future::{Ready, ready};
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt as _;
use identity::auth::{Issuer, Role};
use ops::Ops;
use settings::Settings;
use testkit::stage;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};
use uuid::Uuid;

/// A gateway whose services are all out of reach.
#[derive(Clone)]
struct Unreachable;

impl Service<Request<tonic::body::Body>> for Unreachable {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(Status::unavailable("order cannot be reached").into_http()))
    }
}

fn pages(open: bool) -> Router {
    let mut settings = Settings { auth: stage::auth(), ..Settings::default() };
    settings.http.ops = if open { settings::Ops::Open } else { settings::Ops::Auto };
    settings.peers.template = "http://127.0.0.1:1".into();
    Ops::new(&settings, ["order", "product"]).expect("keys").pages(Unreachable)
}

fn bearer(roles: &[Role]) -> String {
    let issuer = Issuer::new(&stage::auth()).expect("the key is one");
    let issued = issuer.issue(Uuid::now_v7(), roles.to_vec(), SystemTime::now());
    format!("Bearer {}", issued.expect("a token").0)
}

/// What was answered: the status as it will be, headers, and the page.
struct Answer {
    status: u16,
    refusal: Option<Status>,
    headers: HeaderMap,
    page: String,
}

/// Asks from this machine.
async fn ask(pages: &Router, uri: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let from = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let request = request.extension(ConnectInfo(from)).body(Body::empty()).expect("a request");
    let Ok(response) = pages.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        refusal: parts.extensions.get::<Status>().cloned(),
        headers: parts.headers,
        page: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

#[tokio::test]
async fn where_it_is_not_open_only_admins_are_let_in() {
    let (pages, host) = (pages(false), ("host", "localhost"));
    for (token, code) in [
        (None, Code::Unauthenticated),
        (Some("Bearer x".to_owned()), Code::Unauthenticated),
        (Some(bearer(&[Role::Member])), Code::PermissionDenied),
        (Some(bearer(&[Role::Member, Role::Seller])), Code::PermissionDenied),
    ] {
        let token = token.as_deref().map(|token| ("authorization", token));
        let headers: Vec<_> = [host].into_iter().chain(token).collect();
        let answer = ask(&pages, "/ops", &headers).await;
        assert_eq!(answer.refusal.map(|status| status.code()), Some(code));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.page, "");
    }
    let admin = bearer(&[Role::Admin]);
    let answer = ask(&pages, "/ops", &[host, ("authorization", &admin)]).await;
    assert_eq!((answer.status, answer.refusal.is_none()), (200, true));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

#[tokio::test]
async fn a_browser_is_asked_to_sign_in_and_shown_nothing_else() {
    let accept = ("accept", "text/html,*/*;q=0.8");
    let answer = ask(&pages(false), "/ops", &[("host", "h"), accept]).await;
    assert_eq!((answer.status, answer.refusal.is_none()), (401, true));
    assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "bearer");
    let page = answer.page;
    assert!(page.contains("id=\"sign-in\"") && !page.contains("id=\"services\""), "{page}");
}

#[tokio::test]
async fn an_open_one_shows_its_figures_to_this_machine_and_no_order() {
    let (pages, host) = (pages(true), ("host", "127.0.0.1:8080"));
    let answer = ask(&pages, "/ops", &[host]).await;
    let page = answer.page;
    assert_eq!(answer.status, 200);
    // Nothing listens where they should be.
    assert!(page.contains("<td>order</td><td>127.0.0.1:1</td><td><span class=\"bad\">unreach"));
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().expect("ascii");
    let nonce = policy.split_once("script-src 'nonce-").expect("a nonce").1;
    let nonce = nonce.split_once('\'').expect("its end").0;
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    assert!(page.contains(&format!("<script type=\"module\" nonce=\"{nonce}\">")), "{page}");
    let again = ask(&pages, "/ops", &[host]).await;
    assert!(!again.page.contains(nonce), "a nonce is used once");

    let forwarded = ("x-forwarded-for", "127.0.0.1");
    let elsewhere: [&[_]; 3] = [
        &[("host", "evil.example")],
        &[("host", "localhost"), forwarded],
        &[host, ("authorization", "Bearer x")],
    ];
    for headers in elsewhere {
        let refusal = ask(&pages, "/ops", headers).await.refusal;
        assert_eq!(refusal.map(|status| status.code()), Some(Code::Unauthenticated), "{headers:?}");
    }
    let order = format!("/ops?order={}", Uuid::nil());
    let answer = ask(&pages, &order, &[host]).await;
    assert!(answer.page.contains("Orders are for admins: sign in first."), "{}", answer.page);
}

#[tokio::test]
async fn an_order_that_cannot_be_read_is_said_to_an_admin() {
    let (pages, admin) = (pages(true), bearer(&[Role::Admin]));
    let headers = [("host", "localhost"), ("authorization", admin.as_str())];
    let answer = ask(&pages, &format!("/ops?order={}", Uuid::nil()), &headers).await;
    assert!(answer.page.contains("order cannot be reached"), "{}", answer.page);
    let answer = ask(&pages, "/ops?order=one&order=%ff&x", &headers).await;
    assert!(answer.page.contains("This is not the id of an order."), "{}", answer.page);
}
