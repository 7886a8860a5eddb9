//! The gateway over a real connection, in front of a product service that does
//! as it is told.

mod browser;
mod pages;
mod semantics;
mod streams;
mod tls;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use base::{Error, Stop, error::Kind};
use contracts::{mypage::v1::my_page_service_server::MyPageServiceServer, product::v1 as pb};
use gateway::Gateway;
use identity::auth::{Issuer, Role, public_jwk};
use serde_json::{Value, json};
use settings::{Secret, Settings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// Made for this test.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOR49lie4Z+Sg3KI5zzngdQHLbutwe2Jnnafxm7pJF9v
-----END PRIVATE KEY-----";

#[derive(Clone, Default)]
struct Products {
    lookups: Arc<AtomicUsize>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::product_service_server::ProductService for Products {
    /// Answers with the metadata that came, as the product's name.
    async fn register_product(
        &self,
        request: Request<pb::RegisterProductRequest>,
    ) -> Answer<pb::Product> {
        let mut names: Vec<_> =
            request.metadata().clone().into_headers().keys().map(ToString::to_string).collect();
        names.sort();
        let product =
            pb::Product { id: "p1".into(), display_name: names.join(" "), ..Default::default() };
        let mut response = Response::new(product);
        response.metadata_mut().insert("location", "/v1/products/p1".parse().expect("ascii"));
        Ok(response)
    }

    async fn update_product(
        &self,
        request: Request<pb::UpdateProductRequest>,
    ) -> Answer<pb::Product> {
        let etag = request.metadata().get("if-match").and_then(|etag| etag.to_str().ok());
        if etag == Some("\"current\"") {
            return Ok(Response::new(pb::Product::default()));
        }
        Err(Error::new(Kind::Conflict, "STALE_ETAG", "the resource has changed").into())
    }

    async fn restock_product(&self, _: Request<pb::RestockProductRequest>) -> Answer<pb::Product> {
        Err(Error::violation("quantity", "must be 1 or more").into())
    }

    async fn get_product(&self, request: Request<pb::GetProductRequest>) -> Answer<pb::Product> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        let id = request.into_inner().product_id;
        match id.as_str() {
            "slow" => std::future::pending().await,
            "busy" => Err(Error::unavailable("DATABASE_BUSY", "busy").into()),
            "long" => {
                let display_name = "밀키트".repeat(1_000);
                let etag = "e1".into();
                Ok(Response::new(pb::Product { id, display_name, etag, ..Default::default() }))
            }
            "tagged" => {
                Ok(Response::new(pb::Product { id, etag: "e1".into(), ..Default::default() }))
            }
            _ => Ok(Response::new(pb::Product { id, ..Default::default() })),
        }
    }

    async fn list_products(
        &self,
        _: Request<pb::ListProductsRequest>,
    ) -> Answer<pb::ListProductsResponse> {
        Ok(Response::new(pb::ListProductsResponse::default()))
    }

    async fn decrease_stock(
        &self,
        _: Request<pb::DecreaseStockRequest>,
    ) -> Answer<pb::DecreaseStockResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn batch_get_products(
        &self,
        _: Request<pb::BatchGetProductsRequest>,
    ) -> Answer<pb::BatchGetProductsResponse> {
        Err(Status::unimplemented("not here"))
    }
}

/// A gateway and what is behind it, until dropped.
struct Table {
    address: SocketAddr,
    token: String,
    products: Products,
    pages: streams::Pages,
    stop: CancellationToken,
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Table {
    async fn lay() -> Self {
        Self::lay_with(|_| {}).await
    }

    async fn lay_with(change: impl FnOnce(&mut Settings)) -> Self {
        let stop = CancellationToken::new();
        let (products, pages) = (Products::default(), streams::Pages::default());
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let mut settings = Settings::default();
        settings.peers.template = format!("http://{}", upstream.local_addr().expect("address"));
        settings.peers.overrides.insert("order".into(), "http://127.0.0.1:1".into());
        settings.deadline.request_ms = 500;
        change(&mut settings);
        settings.auth.signing_key = Secret::new(KEY);
        let jwk = public_jwk("test", &settings.auth.signing_key).expect("a key");
        settings.auth.jwks = json!({"keys": [jwk]}).to_string();
        let issuer = Issuer::new(&settings.auth).expect("issuer");
        let now = SystemTime::now();
        let (token, _) =
            issuer.issue(uuid::Uuid::now_v7(), vec![Role::Seller], now).expect("token");

        let service = pb::product_service_server::ProductServiceServer::new(products.clone());
        let watched = MyPageServiceServer::new(pages.clone());
        // Until the test ends: the gateway is not to be stopped by its services.
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .add_service(watched)
            .serve_with_incoming(TcpIncoming::from(upstream));
        tokio::spawn(server);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("address");
        let gateway = Gateway::new(&settings).expect("a gateway");
        let ending = Stop::after(stop.clone(), settings.deadline.drain());
        tokio::spawn(gateway.serve(listener, ending, pages::pages));
        Self { address, token, products, pages, stop }
    }

    /// Sends a request as written, and reads status, headers and body.
    async fn raw(&self, request: &[u8]) -> (u16, String, Value) {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        // A refused request may not be read to its end.
        let _ = socket.write_all(request).await;
        let mut response = Vec::new();
        let _ = socket.read_to_end(&mut response).await;
        let response = String::from_utf8(response).expect("UTF-8");
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
        (status, head.to_ascii_lowercase(), body)
    }

    async fn send(&self, line: &str, headers: &str, body: &str) -> (u16, String, Value) {
        let Self { token, .. } = self;
        let length = body.len();
        self.raw(
            format!(
                "{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                 authorization: Bearer {token}\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
            )
            .as_bytes(),
        )
        .await
    }

    async fn get(&self, path: &str) -> (u16, String, Value) {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").as_bytes())
            .await
    }
}

const JSON: &str = "content-type: application/json; charset=utf-8\r\n";

#[tokio::test]
async fn a_resource_is_read_with_its_defaults() {
    let table = Table::lay().await;
    let (status, head, body) = table.get("/v1/products/p%201").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    let product = json!({
        "id": "p 1", "displayName": "", "stock": 0, "etag": "", "state": "STATE_UNSPECIFIED",
        "description": "", "picture": "",
    });
    assert_eq!(body, product);
    let (status, head, body) =
        table.raw(b"HEAD /v1/products/p1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status, body), (200, "".into()));
    assert!(head.contains("content-length:"), "{head}");
}

#[tokio::test]
async fn creating_is_201_and_only_known_headers_reach_the_service() {
    let table = Table::lay().await;
    let forged = format!("{JSON}x-member-id: 1\r\ncookie: a=b\r\n");
    let (status, head, body) = table.send("POST /v1/products", &forged, "{}").await;
    assert_eq!(status, 201, "{body}");
    assert!(head.contains("location: /v1/products/p1"), "{head}");
    let names: Vec<&str> = body["displayName"].as_str().expect("text").split(' ').collect();
    for expected in ["authorization", "idempotency-key", "grpc-timeout"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(!names.contains(&"x-member-id") && !names.contains(&"cookie"), "{names:?}");
}

#[tokio::test]
async fn a_token_is_verified_before_anything_is_called() {
    let table = Table::lay().await;
    let (status, head, problem) =
        table.raw(b"POST /v1/products HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!((status, &problem["code"]), (401, &json!("UNAUTHENTICATED")));
    assert!(head.contains("www-authenticate: bearer"), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let forged = b"POST /v1/products HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                   authorization: Bearer a.b.c\r\n\r\n";
    assert_eq!(table.raw(forged).await.0, 401);
    assert_eq!(table.products.lookups.load(Ordering::Relaxed), 0);
    // What is open to everybody is open with such a token too.
    let forged = b"GET /v1/products/p1 HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                   authorization: Bearer a.b.c\r\n\r\n";
    assert_eq!(table.raw(forged).await.0, 200);
}

#[tokio::test]
async fn refusals_come_as_problems() {
    let table = Table::lay().await;
    let (status, _, problem) = table.send("POST /v1/products/p1:restock", JSON, "{}").await;
    assert_eq!(status, 400);
    assert_eq!(problem["violations"][0]["field"], "quantity");
    assert_eq!(problem["instance"], "/v1/products/p1:restock");

    let stale = format!("{JSON}if-match: \"old\"\r\n");
    assert_eq!(table.send("PATCH /v1/products/p1", &stale, "{}").await.0, 412);
    let current = format!("{JSON}if-match: \"current\"\r\n");
    assert_eq!(table.send("PATCH /v1/products/p1", &current, "").await.0, 200);

    let (status, head, problem) = table.get("/v1/products/busy").await;
    assert_eq!((status, &problem["reason"]), (503, &json!("DATABASE_BUSY")));
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!(
        table.products.lookups.load(Ordering::Relaxed),
        1,
        "what it answered is not retried"
    );
}

#[tokio::test]
async fn what_does_not_fit_http_is_refused() {
    let table = Table::lay().await;
    let (status, _, problem) = table.get("/v1/nothing").await;
    assert_eq!((status, &problem["code"]), (404, &json!("NOT_FOUND")));
    let (status, head, _) = table.send("DELETE /v1/products", "", "").await;
    assert_eq!(status, 405);
    assert!(head.contains("allow: get, head, options, post\r\n"), "{head}");
    assert_eq!(table.send("POST /v1/products", "", "{}").await.0, 415);
    assert_eq!(table.send("POST /v1/products", JSON, &" ".repeat(1024 * 1024 + 1)).await.0, 413);
    let long = format!("x-long: {}\r\n", "x".repeat(20_000));
    assert_eq!(table.send("GET /v1/products", &long, "").await.0, 431);
}

#[tokio::test]
async fn options_says_what_a_path_takes() {
    let table = Table::lay().await;
    let (status, head, body) = table.send("OPTIONS /v1/products/p1", "", "").await;
    assert_eq!((status, body), (204, "".into()));
    assert!(head.contains("allow: get, head, options, patch\r\n"), "{head}");
    assert_eq!(table.send("OPTIONS /v1/nothing", "", "").await.0, 404);
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_406() {
    let table = Table::lay().await;
    for (accept, expected) in [
        ("text/html", 406),
        ("text/html, image/*;q=0.8", 406),
        ("application/json;q=0, text/html", 406),
        ("*/*, application/*;q=0", 406),
        ("", 406),
        ("application/json", 200),
        ("text/html, APPLICATION/JSON; charset=utf-8", 200),
        ("application/problem+json", 200),
        ("application/*;q=0.1", 200),
        ("text/html, */*;q=0.8", 200),
    ] {
        let (status, _, body) =
            table.send("GET /v1/products/p1", &format!("accept: {accept}\r\n"), "").await;
        assert_eq!(status, expected, "{accept}");
        if status == 406 {
            assert_eq!(body["reason"], "NOT_ACCEPTABLE");
        }
    }
    assert_eq!(table.get("/v1/products/p1").await.0, 200, "no Accept is any");
}

#[tokio::test]
async fn who_has_the_current_version_gets_no_body() {
    let table = Table::lay().await;
    let (status, head, body) = table.get("/v1/products/tagged").await;
    assert_eq!((status, &body["etag"]), (200, &json!("e1")));
    assert!(head.contains("etag: \"e1\"\r\n"), "{head}");
    for (sent, expected) in [
        ("\"e1\"", 304),
        ("W/\"e1\"", 304),
        ("\"e0\", W/\"e1\"", 304),
        ("\"e0\"\r\nif-none-match: \"e1\"", 304),
        ("*", 304),
        ("\"e0\"", 200),
        ("\"e0, e1\"", 200),
        ("e1", 200),
        ("\"\"", 200),
    ] {
        let header = format!("if-none-match: {sent}\r\n");
        for verb in ["GET", "HEAD"] {
            let line = format!("{verb} /v1/products/tagged");
            let (status, head, body) = table.send(&line, &header, "").await;
            assert_eq!(status, expected, "{sent}");
            assert!(head.contains("etag: \"e1\"\r\n"), "{head}");
            assert!(status == 200 || body == "" && !head.contains("content-type"), "{head}");
        }
    }
    let any = "if-none-match: *\r\n";
    assert_eq!(table.send("GET /v1/products/p1", any, "").await.0, 200, "it has no tag");
}

#[tokio::test]
async fn who_wants_a_version_that_is_gone_is_412() {
    let table = Table::lay().await;
    for (sent, expected) in [
        ("\"e1\"", 200),
        ("\"e0\", \"e1\"", 200),
        ("\"e0\"\r\nif-match: \"e1\"", 200),
        ("\"e1-gzip\"", 200),
        ("*", 200),
        ("W/\"e1\"", 412),
        ("\"e0\"", 412),
        ("\"e0\"\r\nif-none-match: \"e1\"", 412),
        ("\"e1\"\r\nif-none-match: \"e1\"", 304),
    ] {
        let header = format!("if-match: {sent}\r\n");
        let (status, _, body) = table.send("GET /v1/products/tagged", &header, "").await;
        assert_eq!(status, expected, "{sent}");
        assert!(status != 412 || body["reason"] == "STALE_ETAG", "{body}");
    }
    let header = format!("{JSON}if-none-match: *\r\n");
    let (status, _, body) = table.send("PATCH /v1/products/p1", &header, "{}").await;
    assert_eq!((status, &body["violations"][0]["field"]), (400, &json!("If-None-Match")));
}

#[tokio::test]
async fn each_coding_of_a_representation_has_its_own_tag() {
    let table = Table::lay().await;
    let get = |headers: &'static str| {
        let request = format!(
            "GET /v1/products/long HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}\r\n"
        );
        let address = table.address;
        async move {
            let mut socket = TcpStream::connect(address).await.expect("connects");
            socket.write_all(request.as_bytes()).await.expect("writes");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.expect("reads");
            let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
            let body = answer.split_off(end);
            (String::from_utf8(answer).expect("ASCII").to_ascii_lowercase(), body.len() - 4)
        }
    };
    let (plain, length) = get("").await;
    assert!(plain.contains("etag: \"e1\"") && plain.contains("vary: accept-encoding"), "{plain}");
    let (coded, shorter) = get("accept-encoding: gzip\r\n").await;
    assert!(coded.contains("etag: \"e1-gzip\"\r\n"), "{coded}");
    assert!(coded.contains("content-encoding: gzip") && shorter * 2 < length, "{coded}");
    for (known, tag) in [("\"e1-gzip\"", "\"e1-gzip\""), ("\"e1\"", "\"e1\"")] {
        let known = format!("accept-encoding: gzip\r\nif-none-match: {known}\r\n");
        let (head, length) = get(known.leak()).await;
        assert!(head.starts_with("http/1.1 304") && length == 0, "{head}");
        assert!(head.contains(&format!("etag: {tag}")) && head.contains("vary: accept-encoding"));
    }
    for none in ["accept-encoding: br\r\n", "accept-encoding: gzip;q=0\r\n"] {
        let (head, _) = get(none).await;
        assert!(!head.contains("content-encoding") && head.contains("etag: \"e1\"\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_would_have_to_be_decoded_is_415() {
    let table = Table::lay().await;
    for (headers, header) in [
        (format!("{JSON}content-encoding: gzip\r\n"), "accept-encoding: identity"),
        ("content-type: text/xml\r\n".to_owned(), "accept: application/json"),
    ] {
        let (status, head, _) = table.send("POST /v1/products", &headers, "{}").await;
        assert_eq!(status, 415, "{headers}");
        assert!(head.contains(header), "{head}");
    }
    let plain = format!("{JSON}content-encoding: Identity\r\n");
    assert_eq!(table.send("POST /v1/products", &plain, "{}").await.0, 201);
}

#[tokio::test]
async fn a_silent_service_is_504_at_the_deadline() {
    let table = Table::lay().await;
    let begun = tokio::time::Instant::now();
    let (status, _, problem) = table.get("/v1/products/slow").await;
    assert_eq!((status, &problem["reason"]), (504, &json!("PEER_TIMEOUT")));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_service_that_is_down_is_503_and_the_others_go_on() {
    let table = Table::lay().await;
    for _ in 0..30 {
        let (status, head, problem) = table.send("GET /v1/orders", "", "").await;
        assert_eq!((status, &problem["reason"]), (503, &json!("PEER_UNREACHABLE")));
        assert!(head.contains("retry-after: 1"), "{head}");
    }
    assert_eq!(table.get("/v1/products").await.0, 200);
}

#[tokio::test]
async fn the_gateway_answers_for_itself() {
    let table = Table::lay().await;
    assert_eq!(table.get("/healthz").await.0, 200);
    let (status, _, keys) = table.get("/.well-known/jwks.json").await;
    assert_eq!(status, 200);
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
}

#[tokio::test]
async fn a_request_under_way_outlives_the_signal_to_stop() {
    let table = Table::lay().await;
    let address = table.address;
    let (status, ()) = tokio::join!(async { table.get("/v1/products/slow").await.0 }, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        table.stop.cancel();
    });
    assert_eq!(status, 504, "it got its answer");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(address).await.is_err());
}
