//! What stands between a client and a service: rates, deadlines, retries, and the
//! file that says how much of each. Over real connections; the service behind does
//! as it is told.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use gateway::Gateway;
use http_body_util::{BodyExt as _, Full};
use identity::auth::{Issuer, Role, public_jwk};
use serde_json::{Value, json};
use settings::{Secret, Settings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, server::NamedService, transport::server::TcpIncoming};

/// Made for this test.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIOR49lie4Z+Sg3KI5zzngdQHLbutwe2Jnnafxm7pJF9v
-----END PRIVATE KEY-----";

/// Stands for the product service: says that it is busy as often as told, then answers with
/// nothing, and keeps how long it was given.
#[derive(Clone, Default)]
struct Products {
    calls: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
    silent: bool,
    /// How many calls are answered at a time, and what each takes; the others wait.
    capacity: Option<(Arc<Semaphore>, Duration)>,
    given: Arc<Mutex<Option<String>>>,
}

impl NamedService for Products {
    const NAME: &'static str = "hansang.product.v1.ProductService";
}

impl tower::Service<http::Request<Body>> for Products {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let given = request.headers().get("grpc-timeout");
        let given = given.map(|given| given.to_str().expect("ascii").to_owned());
        *self.given.lock().expect("not poisoned") = given;
        if self.silent {
            return Box::pin(std::future::pending());
        }
        let less = |busy: usize| busy.checked_sub(1);
        if self.busy.try_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
            let mut busy = Status::unavailable("busy");
            busy.metadata_mut().insert("grpc-retry-pushback-ms", 300.into());
            return Box::pin(async move { Ok(busy.into_http()) });
        }
        // Not compressed, and no bytes long.
        let message = Full::new(Bytes::from_static(&[0; 5]));
        let trailers = [("grpc-status".parse().expect("a name"), "0".parse().expect("ascii"))];
        let trailers = http::HeaderMap::from_iter(trailers);
        let body = Body::new(message.with_trailers(async { Some(Ok(trailers)) }));
        let response = http::Response::builder().header("content-type", "application/grpc");
        let capacity = self.capacity.clone();
        Box::pin(async move {
            if let Some((places, takes)) = capacity {
                let _place = places.acquire_owned().await.expect("never closed");
                tokio::time::sleep(takes).await;
            }
            Ok(response.body(body).expect("a response"))
        })
    }
}

/// A gateway with policies, and what is behind it, until dropped.
struct Table {
    address: SocketAddr,
    token: String,
    policies: PathBuf,
    products: Products,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Drop for Table {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Table {
    async fn lay(policies: &str) -> Self {
        Self::with(policies, Products::default()).await
    }

    async fn with(text: &str, products: Products) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let policies = directory.path().join("policies.toml");
        std::fs::write(&policies, text).expect("writes");
        let upstream = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let mut settings = settings();
        settings.http.policies = policies.display().to_string();
        settings.peers.template = format!("http://{}", upstream.local_addr().expect("address"));
        settings.peers.overrides.insert("order".into(), "http://127.0.0.1:1".into());
        let issuer = Issuer::new(&settings.auth).expect("issuer");
        let (now, member) = (SystemTime::now(), uuid::Uuid::now_v7());
        let (token, _) = issuer.issue(member, vec![Role::Seller], now).expect("token");

        let stop = CancellationToken::new();
        let mut server = tonic::transport::Server::builder();
        let server = server.add_service(products.clone()).serve_with_incoming_shutdown(
            TcpIncoming::from(upstream),
            stop.clone().cancelled_owned(),
        );
        tokio::spawn(server);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("address");
        let gateway = Gateway::new(&settings).expect("a gateway");
        tokio::spawn(
            gateway.serve(listener, base::Stop::at_once(stop.clone()), |_| axum::Router::new()),
        );
        Self { address, token, policies, products, stop, _directory: directory }
    }

    /// Gets a path; the status, the headers, the body.
    async fn get(&self, path: &str, headers: &str) -> (u16, String, Value) {
        get(self.address, path, headers).await
    }

    async fn status(&self) -> u16 {
        self.get("/v1/products/p1", "").await.0
    }

    fn calls(&self) -> usize {
        self.products.calls.load(Ordering::Relaxed)
    }

    /// Replaces the file at once, as a `ConfigMap` does.
    fn write(&self, text: &str) {
        let draft = self.policies.with_extension("draft");
        std::fs::write(&draft, text).expect("writes");
        std::fs::rename(&draft, &self.policies).expect("renames");
    }
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String, Value) {
    let mut socket = TcpStream::connect(address).await.expect("connects");
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await.expect("writes");
    let mut response = String::new();
    socket.read_to_string(&mut response).await.expect("reads");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), serde_json::from_str(body).expect("JSON"))
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.auth.signing_key = Secret::new(KEY);
    let jwk = public_jwk("test", &settings.auth.signing_key).expect("a key");
    settings.auth.jwks = json!({"keys": [jwk]}).to_string();
    settings
}

/// Waits until it is so.
async fn until<F: Future<Output = bool>>(so: impl Fn() -> F) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never came to be");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_address_over_its_rate_is_429_and_told_when_to_come_back() {
    let rate = "method.product.GetProduct.ip_rate = { per_second = 1, burst = 2 }";
    let table = Table::lay(rate).await;
    assert_eq!([table.status().await, table.status().await], [200, 200]);
    let (status, head, problem) = table.get("/v1/products/p1", "").await;
    assert_eq!((status, &problem["reason"]), (429, &json!("RATE_LIMITED")));
    assert_eq!(problem["code"], "RESOURCE_EXHAUSTED");
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!(table.calls(), 2, "the service was not asked");
    assert_eq!(table.get("/v1/products", "").await.0, 200, "another method");
    until(|| async { table.status().await == 200 }).await;
}

/// Asks so often per second for so long, whatever the answers: how long each took that was 200, and
/// each that was 503, the slowest last.
async fn load(table: &Table, per_second: u32, lasting: Duration) -> [Vec<Duration>; 2] {
    let (mut tick, begun) = (interval(Duration::from_secs(1) / per_second), Instant::now());
    let mut asked = JoinSet::new();
    while begun.elapsed() < lasting {
        tick.tick().await;
        let address = table.address;
        asked.spawn(async move {
            let begun = Instant::now();
            let (status, head, _) = get(address, "/v1/products/p1", "").await;
            assert!(status == 200 || head.contains("retry-after: "), "{head}");
            (status, begun.elapsed())
        });
    }
    let answers = asked.join_all().await;
    [200, 503].map(|status| {
        let mut took: Vec<_> =
            answers.iter().filter(|answer| answer.0 == status).map(|answer| answer.1).collect();
        took.sort_unstable();
        took
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_ten_times_the_peak_what_is_accepted_is_quick_and_the_rest_is_refused_at_once() {
    // 40 per second, and a gateway that would let 1,024 wait for 25 seconds.
    let capacity = Some((Arc::new(Semaphore::new(4)), Duration::from_millis(100)));
    let products = Products { capacity, ..Products::default() };
    let table = Table::with("least_concurrency = 5", products).await;
    let p99 = |sorted: &[Duration]| sorted[(sorted.len() * 99).div_ceil(100) - 1];
    let [usual, _] = load(&table, 30, Duration::from_secs(3)).await;
    let usual = p99(&usual);
    let [_, _] = load(&table, 400, Duration::from_secs(2)).await;
    let [accepted, refused] = load(&table, 400, Duration::from_secs(4)).await;
    assert!(p99(&accepted) <= usual * 5, "{:?} where {usual:?} is usual", p99(&accepted));
    let at_once = Duration::from_millis(500) * testkit::patience();
    assert!(p99(&refused) < at_once, "{:?}", p99(&refused));
    assert!(accepted.len() >= 120 && refused.len() > accepted.len() * 5, "{}", accepted.len());
    until(|| async { table.status().await == 200 }).await;
}

#[tokio::test]
async fn a_member_over_their_rate_is_429_and_others_are_not() {
    let table = Table::lay("default.member_rate = { per_second = 1, burst = 1 }").await;
    let token = format!("authorization: Bearer {}\r\n", table.token);
    assert_eq!(table.get("/v1/products/p1", &token).await.0, 200);
    assert_eq!(table.get("/v1/products", &token).await.0, 429, "one rate for all methods");
    assert_eq!(table.status().await, 200, "who is not signed in has none");
}

#[tokio::test]
async fn a_service_that_asks_to_be_asked_later_is_asked_then() {
    let table = Table::lay("").await;
    table.products.busy.store(1, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(table.status().await, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(table.calls(), 2);
}

#[tokio::test]
async fn a_service_gets_what_is_left_of_the_time_that_the_client_has() {
    let table = Table::lay("").await;
    for (header, most) in [
        ("x-request-timeout: 2", 2_000),
        ("x-request-timeout: 900ms", 900),
        ("grpc-timeout: 800m", 800),
        ("x-request-timeout: 3600", 5_000),
    ] {
        let most = Duration::from_millis(most);
        assert_eq!(table.get("/v1/products/p1", &format!("{header}\r\n")).await.0, 200);
        let given = table.products.given.lock().expect("not poisoned").take().expect("a time");
        let micros = given.strip_suffix('u').and_then(|given| given.parse().ok());
        let left = Duration::from_micros(micros.expect("microseconds"));
        assert!(left > most / 2 && left <= most, "{header}: {given}");
    }
    let (status, _, problem) = table.get("/v1/products/p1", "x-request-timeout: soon\r\n").await;
    assert_eq!((status, &problem["violations"][0]["field"]), (400, &json!("x-request-timeout")));

    let table = Table::with("", Products { silent: true, ..Products::default() }).await;
    let begun = Instant::now();
    let (status, ..) = table.get("/v1/products/p1", "x-request-timeout: 100ms\r\n").await;
    assert_eq!(status, 504);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_service_that_is_left_alone_shows_in_the_metrics_and_the_others_do_not() {
    let table = Table::lay("").await;
    let token = format!("authorization: Bearer {}\r\n", table.token);
    for _ in 0..10 {
        let (status, head, problem) = table.get("/v1/orders", &token).await;
        assert_eq!((status, &problem["reason"]), (503, &json!("PEER_UNREACHABLE")));
        assert!(head.contains("retry-after: 1"), "{head}");
        assert_eq!(table.status().await, 200);
    }
    let metrics = telemetry::metrics();
    let state = |upstream, state| {
        let line = "hansang_rpc_breaker_state{upstream=";
        metrics.contains(&format!("{line}\"{upstream}\",class=\"read\"}} {state}\n"))
    };
    assert!(state("order", 2) && state("product", 0), "{metrics}");
}

#[tokio::test]
async fn a_change_of_the_file_holds_and_a_wrong_one_does_not() {
    let table = Table::lay("default.attempts = 1").await;
    let once = || async {
        table.products.busy.store(1, Ordering::Relaxed);
        table.status().await
    };
    assert_eq!(once().await, 503, "no retry");

    table.write("default.attempts = 2");
    until(|| async { once().await == 200 }).await;

    let refused = "hansang_gateway_policies_changes_total{outcome=\"refused\"} 1\n";
    assert!(!telemetry::metrics().contains(refused));
    table.write("default.attempts = 1\ndefault.colour = 'red'");
    until(|| async { telemetry::metrics().contains(refused) }).await;
    assert_eq!(once().await, 200, "what held still holds");

    table.write("default.attempts = 1");
    until(|| async { once().await == 503 }).await;
}

#[tokio::test]
async fn with_a_wrong_file_the_gateway_does_not_start() {
    let table = Table::lay("").await;
    let mut settings = settings();
    for (text, why) in
        [("method.order.Eat = {}", "method.order.Eat: there is no such method"), ("=", "policies")]
    {
        table.write(text);
        settings.http.policies = table.policies.display().to_string();
        let error = Gateway::new(&settings).err().expect("is refused").to_string();
        assert!(error.contains("http.policies: ") && error.contains(why), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    settings.http.policies = "/no/such/file".into();
    let error = Gateway::new(&settings).err().expect("is refused").to_string();
    assert!(error.contains("/no/such/file"), "{error}");
}
