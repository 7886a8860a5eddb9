//! What browsers need: permission by origin, gRPC-Web; and gRPC itself, compressed
//! answers, and readiness.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use contracts::{
    mypage::v1::{WatchMyPageRequest, WatchMyPageResponse, my_page_service_client as pages},
    product::v1::product_service_client::ProductServiceClient,
};
use prost::Message as _;
use tonic::{Code, transport::Endpoint};

use super::*;

/// Whose pages may call.
const ORIGIN: &str = "https://shop.example";
const PRODUCT: &str = "/hansang.product.v1.ProductService/GetProduct";
const WATCH: &str = "/hansang.mypage.v1.MyPageService/WatchMyPage";

impl Table {
    /// Head and body of an answer, over HTTP/1.0, which knows no chunks.
    async fn bytes(&self, line: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        let length = body.len();
        let head = format!("{line} HTTP/1.0\r\ncontent-length: {length}\r\n{headers}\r\n");
        socket.write_all(&[head.as_bytes(), body].concat()).await.expect("asks");
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).await.expect("an answer");
        let end = answer.windows(4).position(|at| at == b"\r\n\r\n").expect("a head") + 4;
        let body = answer.split_off(end);
        (String::from_utf8(answer).expect("ASCII").to_ascii_lowercase(), body)
    }

    async fn grpc_web(&self, path: &str, kind: &str, body: &[u8]) -> (String, Vec<u8>) {
        let token = &self.token;
        let headers = format!(
            "content-type: {kind}\r\nauthorization: Bearer {token}\r\norigin: {ORIGIN}\r\n"
        );
        self.bytes(&format!("POST {path}"), &headers, body).await
    }

    async fn channel(&self) -> tonic::transport::Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address));
        endpoint.expect("an address").connect().await.expect("connects")
    }
}

async fn for_browsers() -> Table {
    Table::lay_with(|settings| settings.http.cors_origins = ORIGIN.into()).await
}

fn frame(message: &impl prost::Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    [&[0], length.as_slice(), &message].concat()
}

/// The messages of a gRPC-Web body, and its trailers.
fn frames(mut body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let (mut messages, mut trailers) = (Vec::new(), String::new());
    while let [flags, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        match flags {
            0 => messages.push(rest[..length].to_vec()),
            _ => trailers = String::from_utf8(rest[..length].to_vec()).expect("ASCII"),
        }
        body = &rest[length..];
    }
    (messages, trailers)
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_and_another_may_not() {
    let table = for_browsers().await;
    let ask = |origin: &str| {
        format!(
            "origin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: authorization,idempotency-key,x-grpc-web\r\n"
        )
    };
    let (head, _) = table.bytes("OPTIONS /v1/orders", &ask(ORIGIN), b"").await;
    assert!(head.starts_with("http/1.0 200"), "{head}");
    assert!(head.contains(&format!("access-control-allow-origin: {ORIGIN}\r\n")), "{head}");
    for allowed in ["authorization", "idempotency-key", "x-grpc-web", "patch", "7200"] {
        assert!(head.contains(allowed), "{allowed}: {head}");
    }
    let (head, _) = table.bytes("OPTIONS /v1/orders", &ask("https://evil.example"), b"").await;
    assert!(!head.contains("access-control-allow-origin"), "{head}");

    let origin = format!("origin: {ORIGIN}\r\n");
    let (head, _) = table.bytes("GET /v1/products/p1", &origin, b"").await;
    assert!(head.contains("access-control-allow-origin"), "{head}");
    assert!(head.contains("grpc-status-details-bin") && head.contains("retry-after"), "{head}");
    assert!(!head.contains("access-control-allow-credentials"), "{head}");
}

#[tokio::test]
async fn a_browser_calls_with_a_generated_stub_in_binary_and_in_text() {
    let table = for_browsers().await;
    let wanted = frame(&pb::GetProductRequest { product_id: "p1".into() });
    let (head, body) = table.grpc_web(PRODUCT, "application/grpc-web+proto", &wanted).await;
    assert!(head.contains("content-type: application/grpc-web+proto"), "{head}");
    assert!(head.contains(&format!("access-control-allow-origin: {ORIGIN}")), "{head}");
    let (messages, trailers) = frames(&body);
    let product = pb::Product::decode(messages[0].as_slice()).expect("a product");
    assert_eq!((product.id.as_str(), messages.len()), ("p1", 1));
    assert!(trailers.contains("grpc-status:0"), "{trailers}");

    let text = BASE64_STANDARD.encode(&wanted);
    let asked = "application/grpc-web-text+proto\r\naccept: application/grpc-web-text+proto";
    let (head, body) = table.grpc_web(PRODUCT, asked, text.as_bytes()).await;
    assert!(head.contains("application/grpc-web-text"), "{head}");
    // Frames are encoded each on their own: padding may come in between.
    let text = String::from_utf8(body).expect("base64");
    let parts = text.split_inclusive("==").flat_map(|part| {
        let ended = |at: &str| BASE64_STANDARD.decode(at).expect("base64");
        ended(part)
    });
    let (messages, _) = frames(&parts.collect::<Vec<u8>>());
    assert_eq!(messages[0], product.encode_to_vec());
}

#[tokio::test]
async fn a_browser_reads_a_stream_with_a_generated_stub() {
    let table = Table::lay().await;
    for (member, ended) in [("two", "grpc-status:0"), ("breaks", "grpc-status:14")] {
        let wanted = frame(&WatchMyPageRequest { member_id: member.into(), ..Default::default() });
        let (_, body) = table.grpc_web(WATCH, "application/grpc-web+proto", &wanted).await;
        let (messages, trailers) = frames(&body);
        let ids = messages.iter().map(|message| {
            WatchMyPageResponse::decode(message.as_slice()).expect("a message").event_id
        });
        assert_eq!(ids.collect::<Vec<_>>(), ["1", "2"]);
        assert!(trailers.contains(ended), "{trailers}");
    }
}

#[tokio::test]
async fn grpc_passes_by_the_rules_of_rest() {
    let table = Table::lay().await;
    let mut products = ProductServiceClient::new(table.channel().await);
    let wanted = |id: &str| pb::GetProductRequest { product_id: id.into() };
    let product = products.get_product(wanted("p1")).await.expect("open to anyone").into_inner();
    assert_eq!(product.id, "p1");

    let nobody = products.register_product(pb::RegisterProductRequest::default()).await;
    assert_eq!(nobody.expect_err("no token").code(), Code::Unauthenticated);
    let mut request = Request::new(pb::RegisterProductRequest::default());
    let token = format!("Bearer {}", table.token).parse().expect("ascii");
    request.metadata_mut().insert("authorization", token);
    request.metadata_mut().insert("x-member-id", "1".parse().expect("ascii"));
    let made = products.register_product(request).await.expect("made");
    assert_eq!(made.metadata().get("location").expect("it says where"), "/v1/products/p1");
    let sent = &made.get_ref().display_name;
    assert!(sent.contains("idempotency-key") && !sent.contains("x-member-id"), "{sent}");

    let inside = products.decrease_stock(pb::DecreaseStockRequest::default()).await;
    let inside = inside.expect_err("not for the world");
    assert_eq!(
        (inside.code(), inside.message()),
        (Code::Unimplemented, "there is no such method here")
    );
    let slow = products.get_product(wanted("slow")).await.expect_err("no answer");
    assert_eq!(slow.code(), Code::DeadlineExceeded);
    let busy = products.get_product(wanted("busy")).await.expect_err("busy");
    assert_eq!((busy.code(), Error::from(busy).reason()), (Code::Unavailable, "DATABASE_BUSY"));
}

#[tokio::test]
async fn grpc_streams_pass() {
    let table = Table::lay().await;
    let mut client = pages::MyPageServiceClient::new(table.channel().await);
    let mut request =
        Request::new(WatchMyPageRequest { member_id: "breaks".into(), ..Default::default() });
    let token = format!("Bearer {}", table.token).parse().expect("ascii");
    request.metadata_mut().insert("authorization", token);
    let mut stream = client.watch_my_page(request).await.expect("opens").into_inner();
    for id in ["1", "2"] {
        let message = stream.message().await.expect("a message").expect("a message");
        assert_eq!(message.event_id, id);
    }
    let broken = stream.message().await.expect_err("broken");
    assert_eq!((broken.code(), Error::from(broken).reason()), (Code::Unavailable, "AWAY"));
}

#[tokio::test]
async fn hundreds_of_open_streams_leave_room_for_calls() {
    let table = Table::lay().await;
    let mut open = Vec::new();
    for channel in [table.channel().await, table.channel().await] {
        for _ in 0..120 {
            let message = WatchMyPageRequest { member_id: "open".into(), ..Default::default() };
            let mut request = Request::new(message);
            let token = format!("Bearer {}", table.token).parse().expect("ascii");
            request.metadata_mut().insert("authorization", token);
            let mut client = pages::MyPageServiceClient::new(channel.clone());
            let mut stream = client.watch_my_page(request).await.expect("opens").into_inner();
            assert_eq!(stream.message().await.expect("begins").expect("begins").event_id, "1");
            open.push(stream);
        }
    }
    assert_eq!(table.get("/v1/products/p1").await.0, 200);
    drop(open);
}

#[tokio::test]
async fn what_is_whole_and_large_is_compressed_for_those_who_take_it() {
    let table = Table::lay().await;
    let long = "x".repeat(2000);
    let line = format!("GET /v1/products/{long}");
    let (head, body) = table.bytes(&line, "accept-encoding: gzip\r\n", b"").await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(body.len() < 200, "{}", body.len());
    let mut json = String::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_string(&mut json).expect("gzip");
    assert!(json.contains(&long));

    let (head, _) = table.bytes(&line, "", b"").await;
    assert!(!head.contains("content-encoding"), "{head}");
    let (head, _) = table.bytes("GET /v1/products/p1", "accept-encoding: gzip\r\n", b"").await;
    assert!(!head.contains("content-encoding"), "too small: {head}");
}

#[tokio::test]
async fn readiness_fails_first_while_everything_is_still_served() {
    let table = Table::lay_with(|settings| settings.deadline.drain_ms = 1_000).await;
    let line = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").into_bytes();
    assert_eq!(table.get("/readyz").await.0, 200);
    table.stop.cancel();
    assert_eq!(table.get("/readyz").await.0, 503);
    assert_eq!(table.get("/healthz").await.0, 200);
    // It closes, though it was not asked to: the client is told to go.
    let (status, head, _) = table.raw(&line("/v1/products/p1")).await;
    assert_eq!(status, 200);
    assert!(head.contains("connection: close"), "{head}");
    let closed = async {
        while TcpStream::connect(table.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("closes");
}
