//! RFC 9110, sections 8, 12, 13 and 15 with 9.3.7 and 10.1.1, walked through: what the gateway does where
//! the standard leaves a choice, by section. What `rest.rs` tests is named here and not repeated.
//!
//! Not followed, and why:
//!
//! - 10.1.1: an expectation other than `100-continue` is passed over, as nearly everybody does; 417 is not sent.
//! - 12.5.2, 12.5.4: `Accept-Charset` is obsolete, and there is one language.
//! - 12.5.3: whoever refuses `identity` and takes no gzip, or asks for what is not worth coding, gets it plain.
//! - 13.1.3, 13.1.4: nothing has a `Last-Modified`, so `If-Modified-Since` and `If-Unmodified-Since` are ignored,
//!   as the standard wants.
//! - 14: there are no ranges: `Range` and `If-Range` are ignored.
//! - 15.5.18 (417), 15.5.20 (421), 15.5.22 (426) and 15.6.6 (505) are never sent, or by hyper alone.
//! - Headers that are too long are 431 by hyper, without a body: the gateway does not see them.

use super::*;

const LONG: usize = 9_000;

impl Table {
    async fn head_of(&self, line: &str, headers: &str) -> (u16, String) {
        let (status, head, _) = self.send(line, headers, "").await;
        (status, head)
    }

    /// Sends the head of a request alone, and reads what comes first.
    async fn first_line(&self, request: &str) -> (TcpStream, String) {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        socket.write_all(request.as_bytes()).await.expect("writes");
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n\r\n") {
            line.push(socket.read_u8().await.expect("an answer"));
        }
        (socket, String::from_utf8_lossy(&line).into_owned())
    }
}

/// 8.4: codings of responses are `each_coding_of_a_representation_has_its_own_tag`, of requests
/// `a_body_that_would_have_to_be_decoded_is_415`. 8.3: what a body is, is asked before what it says.
#[tokio::test]
async fn section_8_a_body_of_another_kind_is_415_and_one_that_cannot_be_read_400() {
    let table = Table::lay().await;
    for (headers, body, expected) in [
        ("", "{}", 415),
        ("content-type: text/plain\r\n", "{}", 415),
        ("content-type: application/merge-patch+json\r\n", "{}", 415),
        ("content-type: application/json\r\n", "{", 400),
        ("content-type: Application/JSON\r\n", "{}", 201),
        ("content-type: application/json\r\ncontent-encoding: gzip\r\n", "{", 415),
        ("content-type: application/json\r\ncontent-encoding: identity\r\n", "{}", 201),
        // 8.6: nothing has no kind, and no coding.
        ("content-encoding: gzip\r\n", "", 201),
    ] {
        let (status, head, problem) = table.send("POST /v1/products", headers, body).await;
        assert_eq!(status, expected, "{headers} {body} {problem}");
        if status >= 400 {
            assert!(head.contains("content-type: application/problem+json"), "{head}");
        }
    }
    // 9.3.1: content of a GET has no meaning; one that sends it means something else.
    assert_eq!(table.send("GET /v1/products/p1", JSON, "{}").await.0, 400);
}

/// 9.1, 15.5.6, 15.6.2: a method that is unknown everywhere is 501, one that is known elsewhere 405 with
/// what is right here, whoever answers the path.
#[tokio::test]
async fn section_9_and_15_each_path_says_which_methods_it_takes() {
    let table = Table::lay().await;
    for (path, allow) in [
        ("/v1/products", "get, head, options, post"),
        ("/v1/products/p1", "get, head, options, patch"),
        ("/v1/products/p1:restock", "options, post"),
        ("/healthz", "get, head, options"),
        ("/openapi.json", "get, head, options"),
        ("/docs", "get, head, options"),
        ("/refused", "get, head, options"),
    ] {
        let allow = format!("allow: {allow}\r\n");
        for verb in ["DELETE", "PUT", "TRACE", "QUERY"] {
            let (status, head) = table.head_of(&format!("{verb} {path}"), "").await;
            assert_eq!(status, 405, "{verb} {path}");
            assert!(head.contains(&allow), "{verb} {path}: {head}");
            assert!(head.contains("content-type: application/problem+json"), "{head}");
        }
        let (status, head, problem) = table.send(&format!("BREW {path}"), "", "").await;
        assert_eq!((status, &problem["reason"]), (501, &json!("METHOD_UNKNOWN")), "{path}");
        assert!(!head.contains("allow:"), "{head}");
        let (status, head) = table.head_of(&format!("OPTIONS {path}"), "").await;
        assert_eq!(status, 204, "{path}");
        assert!(head.contains(&allow), "{path}: {head}");
    }
    // Methods are told apart by case.
    assert_eq!(table.head_of("get /v1/products", "").await.0, 501);
    assert_eq!(table.head_of("DELETE /v1/nothing", "").await.0, 404);
}

/// 9.3.7: of the server as a whole.
#[tokio::test]
async fn section_9_options_of_everything_is_answered() {
    let table = Table::lay().await;
    let (status, head) = table.head_of("OPTIONS *", "").await;
    assert_eq!(status, 204);
    assert!(head.contains("allow: delete, get, head, options, patch, post\r\n"), "{head}");
}

/// 9.3.2: whatever GET says, HEAD says without its content.
#[tokio::test]
async fn section_9_head_says_what_get_says() {
    let table = Table::lay().await;
    for path in [
        "/v1/products",
        "/v1/products/tagged",
        "/v1/products/busy",
        "/v1/nothing",
        "/healthz",
        "/openapi.json",
        "/docs/",
        "/.well-known/jwks.json",
        "/refused",
        "/v1/mypage/two:watch",
    ] {
        let get = table.head_of(&format!("GET {path}"), "").await;
        let (status, head, body) = table.send(&format!("HEAD {path}"), "", "").await;
        assert_eq!((status, body), (get.0, "".into()), "{path}");
        let kind = |head: &str| {
            let lines = head.lines().filter(|line| {
                ["content-type:", "etag:", "vary:", "retry-after:"]
                    .iter()
                    .any(|it| line.starts_with(it))
            });
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(kind(&head), kind(&get.1), "{path}");
    }
    // A stream that goes on for ever has a head as well.
    let (status, _, body) = table.send("HEAD /v1/mypage/open:watch", "", "").await;
    assert_eq!((status, body), (200, "".into()));
}

/// 10.1.1: who asks first is told to go on, or what is wrong before they send anything.
#[tokio::test]
async fn section_10_who_expects_100_is_told_to_go_on_or_refused_at_once() {
    let table = Table::lay().await;
    let Table { token, .. } = &table;
    let head = |token: &str| {
        format!(
            "POST /v1/products HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{token}{JSON}\
             content-length: 2\r\nexpect: 100-continue\r\n\r\n"
        )
    };
    let (mut socket, line) =
        table.first_line(&head(&format!("authorization: Bearer {token}\r\n"))).await;
    assert!(line.starts_with("HTTP/1.1 100 "), "{line}");
    socket.write_all(b"{}").await.expect("writes");
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.expect("reads");
    assert!(rest.starts_with("HTTP/1.1 201 "), "{rest}");
    let (_, line) = table.first_line(&head("")).await;
    assert!(line.starts_with("HTTP/1.1 401 "), "{line}");
    // Anything else is passed over.
    let (status, _, _) = table.send("GET /v1/products", "expect: a-miracle\r\n", "").await;
    assert_eq!(status, 200);
}

/// 12.5.1 is `a_client_that_takes_no_json_is_406`; 12.5.5: where `Accept` decides, `Vary` says so.
#[tokio::test]
async fn section_12_what_accept_decides_varies_with_it() {
    let table = Table::lay().await;
    let varies = |head: &str| {
        let mut lines = head.lines().filter(|line| line.starts_with("vary:"));
        lines.any(|line| line.split([':', ',']).any(|field| field.trim() == "accept"))
    };
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/event-stream", "text/event-stream"),
    ] {
        let accept = format!("accept: {accept}\r\n");
        let (status, head) = table.head_of("GET /v1/mypage/two:watch", &accept).await;
        assert_eq!(status, 200, "{head}");
        assert!(head.contains(&format!("content-type: {kind}")) && varies(&head), "{head}");
    }
    let (status, head) = table.head_of("GET /v1/products", "accept: image/png\r\n").await;
    assert!(status == 406 && varies(&head), "{head}");
    // One representation varies with its coding alone.
    assert!(!varies(&table.head_of("GET /v1/products", "").await.1));
    for coding in ["identity;q=0", "br", "*;q=0", "gzip, identity;q=0"] {
        let headers = format!("accept-encoding: {coding}\r\n");
        let (status, head) = table.head_of("GET /v1/products", &headers).await;
        assert!(status == 200 && !head.contains("content-encoding"), "{coding}: {head}");
        // A command that is carried out is not answered as if it had not been.
        let headers = format!("{JSON}{headers}");
        let (status, _, product) = table.send("POST /v1/products", &headers, "{}").await;
        assert_eq!((status, &product["id"]), (201, &json!("p1")), "{coding}");
    }
}

/// 13.1.1 and 13.1.2 are `who_has_the_current_version_gets_no_body` and
/// `who_wants_a_version_that_is_gone_is_412`; what else may be a condition is none here.
#[tokio::test]
async fn section_13_and_14_dates_and_ranges_are_no_conditions() {
    let table = Table::lay().await;
    for header in [
        "if-modified-since: Sat, 29 Oct 2033 19:43:31 GMT",
        "if-unmodified-since: Sat, 29 Oct 1994 19:43:31 GMT",
        "if-range: \"e0\"",
        "range: bytes=0-3",
        "range: bytes=900000-",
    ] {
        let headers = format!("{header}\r\n");
        let (status, head, body) = table.send("GET /v1/products/tagged", &headers, "").await;
        assert_eq!((status, &body["id"]), (200, &json!("tagged")), "{header}");
        assert!(!head.contains("content-range"), "{head}");
    }
    // 13.2.2: with a tag the date does not count.
    let both = "if-none-match: \"e0\"\r\nif-modified-since: Sat, 29 Oct 2033 19:43:31 GMT\r\n";
    assert_eq!(table.head_of("GET /v1/products/tagged", both).await.0, 200);
    // 15.4.5: what a 304 has of the 200.
    let (status, head) = table.head_of("GET /v1/products/tagged", "if-none-match: *\r\n").await;
    assert_eq!(status, 304);
    for header in ["etag: \"e1\"", "date: ", "vary: accept-encoding"] {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(!head.contains("content-type:"), "{head}");
}

/// 15: 201 has its `Location`, 401 its challenge, 503 says when; what is too long says what.
#[tokio::test]
async fn section_15_each_status_has_what_belongs_to_it() {
    let table = Table::lay().await;
    let (status, head, _) = table.send("POST /v1/products", JSON, "{}").await;
    assert!(status == 201 && head.contains("location: /v1/products/p1\r\n"), "{head}");
    let (status, head) = table.head_of("GET /v1/products/busy", "").await;
    assert!(status == 503 && head.contains("retry-after: 1\r\n"), "{head}");
    let (status, head, _) = table.get("/v1/orders").await;
    assert!(status == 401 && head.contains("www-authenticate: bearer\r\n"), "{head}");

    let long = "x".repeat(LONG);
    let (status, head, problem) = table.get(&format!("/v1/products?query={long}")).await;
    assert_eq!((status, &problem["reason"]), (414, &json!("URI_TOO_LONG")), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    let body = " ".repeat(1024 * 1024 + 1);
    let (status, head, problem) = table.send("POST /v1/products", JSON, &body).await;
    assert_eq!((status, &problem["reason"]), (413, &json!("BODY_TOO_LARGE")), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
}
