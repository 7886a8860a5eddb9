//! What a client reads before it calls: the OpenAPI document, valid to a validator
//! that is not ours, and the page to read it with, which needs nothing from elsewhere.

use std::process::{Command, Stdio};

use gateway::Gateway;
use settings::Settings;
use testkit::python;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, DropGuard};

const VALIDATOR: &str = "openapi-spec-validator==0.9.0";

/// A gateway with nothing behind it.
struct Table {
    listener: std::net::SocketAddr,
    _stop: DropGuard,
}

impl Table {
    async fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let gateway = Gateway::new(&Settings::default()).expect("a gateway");
        tokio::spawn(
            gateway.serve(listener, base::Stop::at_once(stop.clone()), |_| axum::Router::new()),
        );
        Self { listener: address, _stop: stop.drop_guard() }
    }

    /// Status and headers, in lower case, and the body.
    async fn ask(&self, line: &str) -> (String, String) {
        let mut socket = TcpStream::connect(self.listener).await.expect("connects");
        let request = format!("{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("writes");
        let mut response = Vec::new();
        socket.read_to_end(&mut response).await.expect("reads");
        let response = String::from_utf8_lossy(&response).into_owned();
        let (head, body) = response.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    }
}

/// What the validator says of a document; nothing when it is valid.
fn complaints(document: &str) -> String {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("openapi-{}.json", uuid::Uuid::now_v7().simple()));
    std::fs::write(&file, document).expect("writable");
    let output = Command::new(python(env!("CARGO_TARGET_TMPDIR"), VALIDATOR))
        .args(["-m", "openapi_spec_validator", "--schema", "3.1"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("the validator runs");
    std::fs::remove_file(&file).expect("it was there");
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        String::new()
    } else {
        String::from_utf8_lossy(&said).into_owned()
    }
}

#[tokio::test]
async fn the_document_is_valid_openapi() {
    let (head, document) = Table::lay().await.ask("GET /openapi.json").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("type: application/json"), "{head}");
    assert!(document.starts_with(r#"{"openapi":"3.1.0""#), "{document}");
    assert_eq!(complaints(&document), "");
}

#[tokio::test]
async fn a_document_that_is_not_valid_is_found_out() {
    let (_, document) = Table::lay().await.ask("GET /openapi.json").await;
    assert_ne!(complaints(&document.replace(r#""responses":"#, r#""answers":"#)), "");
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let table = Table::lay().await;
    let (head, _) = table.ask("GET /docs").await;
    assert!(head.starts_with("http/1.1 308") && head.contains("location: /docs/"), "{head}");
    let (head, page) = table.ask("GET /docs/").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("type: text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"));
    let sources = page.split(['"', '\'']).filter(|text| text.contains("./"));
    let sources: Vec<_> = sources.map(|source| source.trim_start_matches("./")).collect();
    assert!(sources.len() > 3 && !page.contains("://"), "{page}");
    for source in sources {
        let (head, body) = table.ask(&format!("GET /docs/{source}")).await;
        assert!(head.starts_with("http/1.1 200") && !body.is_empty(), "{source}: {head}");
    }
    let (_, script) = table.ask("GET /docs/swagger-initializer.js").await;
    assert!(script.contains("../openapi.json"), "{script}");
    let (head, _) = table.ask("GET /docs/nothing.js").await;
    assert!(head.starts_with("http/1.1 404"), "{head}");
}

#[tokio::test]
async fn a_head_is_answered_without_a_body() {
    let table = Table::lay().await;
    for path in ["/openapi.json", "/docs/"] {
        let (head, body) = table.ask(&format!("HEAD {path}")).await;
        assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}");
    }
}
