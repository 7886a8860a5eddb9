//! Hansang's contracts by way of the transcoder: which routes they have, and that requests and responses
//! are what reflection makes of them.

use std::{collections::HashSet, sync::LazyLock};

use base::error::Kind;
use http::Method as Verb;
use serde_json::{Value, json};
use tonic_types::StatusExt as _;
use transcoder::{Input, Miss, Router};
use transcoder_testkit::Oracle;

use crate::{ROUTES, route};

/// Knows by reflection what is right.
pub(crate) static ORACLE: LazyLock<Oracle> = LazyLock::new(|| Oracle::new(contracts::DESCRIPTORS));

fn find<'p>(verb: &Verb, path: &'p str) -> Result<(&'static str, Vec<&'p str>), Miss> {
    let router = Router::new(ROUTES).expect("no conflicts");
    router.find(verb, path).map(|(route, path)| (route.method, path))
}

#[test]
fn each_route_finds_itself() {
    let router = Router::new(ROUTES).expect("no conflicts");
    let mut seen = HashSet::new();
    for route in ROUTES {
        assert!(seen.insert((&route.verb, route.path)), "twice: {} {}", route.verb, route.path);
        let path = route.path.replace(['{', '}'], "");
        let (found, _) = router.find(&route.verb, &path).expect("found");
        assert_eq!(found.method, route.method);
    }
}

#[test]
fn verbs_after_a_colon_are_told_apart() {
    let cancel = find(&Verb::POST, "/v1/orders/o1:cancel").expect("found");
    assert_eq!(cancel, ("/hansang.order.v1.OrderService/CancelOrder", vec!["o1"]));
    let receipt = find(&Verb::POST, "/v1/orders/o1:confirmReceipt").expect("found");
    assert_eq!(receipt, ("/hansang.order.v1.OrderService/ConfirmReceipt", vec!["o1"]));
    let top_up = find(&Verb::POST, "/v1/members/m1/wallet:topUp").expect("found");
    assert_eq!(top_up.1, ["m1"]);
    let view = find(&Verb::HEAD, "/v1/mypage/m1/orders/o1").expect("found");
    assert_eq!(view, ("/hansang.mypage.v1.MyPageService/GetMyOrder", vec!["m1", "o1"]));
}

#[test]
fn a_known_path_says_what_it_takes() {
    let allow = |verbs: &str| Err(Miss::NotAllowed(verbs.into()));
    assert_eq!(find(&Verb::DELETE, "/v1/orders"), allow("GET, HEAD, OPTIONS, POST"));
    assert_eq!(find(&Verb::POST, "/v1/orders/o1:eat"), allow("GET, HEAD, OPTIONS"));
    assert_eq!(find(&Verb::GET, "/v1/orders/o1:cancel"), allow("OPTIONS, POST"));
    assert_eq!(find(&Verb::PATCH, "/v1/products/p1:restock"), allow("OPTIONS, POST"));
    assert_eq!(find(&Verb::GET, "/v1/nothing"), Err(Miss::NotFound));
    assert_eq!(find(&Verb::GET, "/"), Err(Miss::NotFound));
}

#[test]
fn the_options_are_read() {
    assert!(route("/GetProduct").open && route("/CreateSession").open);
    assert!(!route("/PlaceOrder").open);
    assert!(route("/CancelOrder").idempotent && route("/GetOrder").idempotent);
    assert!(!route("/PlaceOrder").idempotent);
    assert_eq!(route("/GetWallet").service, "payment");
}

fn input<'a>(path: &'a [&'a str], query: &'a str, body: &'a str) -> Input<'a> {
    Input { path, query, body: body.as_bytes(), content_type: "" }
}

fn refusal(method: &str, input: &Input<'_>) -> (String, Vec<String>) {
    let error = (route(method).request)(input).expect_err("refused");
    assert_eq!(error.kind(), Kind::Invalid);
    let reason = error.reason().to_owned();
    let bad = tonic::Status::from(error).get_details_bad_request();
    let fields = bad.into_iter().flat_map(|bad| bad.field_violations);
    (reason, fields.map(|violation| violation.field).collect())
}

fn field(method: &str, input: &Input<'_>) -> String {
    let (reason, mut fields) = refusal(method, input);
    assert_eq!((reason.as_str(), fields.len()), ("INVALID_FIELD", 1));
    fields.remove(0)
}

#[test]
fn bodies_become_what_the_oracle_makes_of_them() {
    let bodies = [
        "",
        "{}",
        r#"{"paymentMethod": "WALLET", "lines": [{"productId": "p", "quantity": 10}]}"#,
        r#"{"payment_method": 2, "lines": [{"product_id": "p", "quantity": "10"}, {}]}"#,
        r#"{"paymentMethod": null, "lines": null, "cardToken": null, "expectedTotal": null}"#,
        r#"{"expectedTotal": {"currencyCode": "KRW", "units": "9007199254740993"}}"#,
        r#"{"expectedTotal": {"currencyCode": "KRW", "units": 10000, "nanos": 0}}"#,
        r#"{"paymentMethod": 77, "cardToken": "주문 \u00e9 \" \\ \n"}"#,
        r#"{"expectedTotal": {}}"#,
        r#"{"lines": [{"quantity": 1e2}, {"quantity": 2.0}, {"quantity": -1}]}"#,
    ];
    let route = route("/PlaceOrder");
    for body in bodies {
        let bytes = (route.request)(&input(&[], "", body)).expect(body);
        let json = serde_json::from_str(body).unwrap_or_else(|_| json!({}));
        assert_eq!(ORACLE.decode(route, &bytes), ORACLE.request(route, &json), "{body}");
    }
}

#[test]
fn an_optional_field_is_there_when_it_was_sent() {
    let route = route("/UpdateProduct");
    for body in [json!({}), json!({"displayName": ""}), json!({"displayName": "tea"})] {
        let text = body.to_string();
        let bytes = (route.request)(&input(&["p1"], "", &text)).expect("fits");
        let mut whole = body.clone();
        whole["productId"] = "p1".into();
        assert_eq!(ORACLE.decode(route, &bytes), ORACLE.request(route, &whole), "{text}");
    }
}

#[test]
fn path_and_query_become_fields() {
    let route = route("/ListWalletEntries");
    let sent = input(&["m%2F1"], "pageSize=20&pageToken=a%20b%2Bc+d", "");
    let bytes = (route.request)(&sent).expect("fits");
    let same = json!({"memberId": "m/1", "pageSize": 20, "pageToken": "a b+c d"});
    assert_eq!(ORACLE.decode(route, &bytes), ORACLE.request(route, &same));

    let route = crate::route("/ListOrders");
    for query in ["state=PLACED", "state=1"] {
        let bytes = (route.request)(&input(&[], query, "")).expect("fits");
        let same = json!({"state": "PLACED"});
        assert_eq!(ORACLE.decode(route, &bytes), ORACLE.request(route, &same));
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_path() {
    let cases = [
        (r#"{"paymentMethod": "WALLET", "coupon": 1}"#, "coupon"),
        (r#"{"lines": [{"productId": "p"}, {"colour": "red"}]}"#, "lines[1].colour"),
        (r#"{"lines": [{"productId": 7}]}"#, "lines[0].productId"),
        (r#"{"lines": [{"quantity": "ten"}]}"#, "lines[0].quantity"),
        (r#"{"lines": [{"quantity": 2147483648}]}"#, "lines[0].quantity"),
        (r#"{"lines": [{"quantity": 1.5}]}"#, "lines[0].quantity"),
        (r#"{"lines": {}}"#, "lines"),
        (r#"{"lines": [["p", 1]]}"#, "lines[0]"),
        (r#"{"lines": [null]}"#, "lines[0]"),
        (r#"{"expectedTotal": []}"#, "expectedTotal"),
        (r#"{"card_token": "a", "cardToken": "b"}"#, "cardToken"),
        (r#"{"paymentMethod": "BARTER"}"#, "paymentMethod"),
        (r#"{"expectedTotal": {"units": "1.5"}}"#, "expectedTotal.units"),
        (r#"{"cardToken": "a", "cardToken": "b"}"#, "cardToken"),
    ];
    for (body, path) in cases {
        assert_eq!(field("/PlaceOrder", &input(&[], "", body)), path, "{body}");
    }
    assert_eq!(field("/ListOrders", &input(&[], "state=LOST", "")), "state");
    assert_eq!(field("/ListOrders", &input(&[], "pageSize=1&pageSize=2", "")), "pageSize");
    assert_eq!(field("/ListOrders", &input(&[], "colour=red", "")), "colour");
    assert_eq!(field("/GetOrder", &input(&["o1"], "orderId=o2", "")), "orderId");
    assert_eq!(field("/PlaceOrder", &input(&[], "cardToken=t", "")), "cardToken");
    assert_eq!(field("/CancelOrder", &input(&["o1"], "", r#"{"orderId": "o2"}"#)), "orderId");
    assert_eq!(field("/GetOrder", &input(&["%ff"], "", "")), "orderId");
}

#[test]
fn a_body_may_repeat_the_path() {
    let route = route("/CancelOrder");
    let bytes = (route.request)(&input(&["o1"], "", r#"{"orderId": "o1"}"#)).expect("fits");
    let same = json!({"orderId": "o1"});
    assert_eq!(ORACLE.decode(route, &bytes), ORACLE.request(route, &same));
}

#[test]
fn what_is_not_json_is_said_so() {
    for body in ["{", "{} x", "{'a': 1}", "nope", "\u{0}"] {
        assert_eq!(refusal("/PlaceOrder", &input(&[], "", body)).0, "MALFORMED_JSON", "{body}");
    }
    for body in ["[]", r#"["WALLET"]"#, "1", "\"a\"", "null"] {
        assert_eq!(refusal("/PlaceOrder", &input(&[], "", body)).0, "INVALID_FIELD", "{body}");
    }
    assert_eq!(refusal("/GetOrder", &input(&["o1"], "", "{}")).0, "UNEXPECTED_BODY");
}

fn written(method: &str, response: &Value) -> (Value, String) {
    let route = route(method);
    let bytes = ORACLE.response(route, response);
    let body = (route.response)(&bytes).expect("writes");
    let text = String::from_utf8(body.bytes).expect("UTF-8");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value, ORACLE.json(route, &bytes), "{method}");
    (value, text)
}

#[test]
fn responses_are_what_the_oracle_makes_of_them() {
    let order = json!({
        "id": "o1", "memberId": "m1", "state": "DELIVERING", "paymentMethod": "WALLET",
        "lines": [
            {"productId": "p1", "displayName": "차 \" \\ \u{1} \u{2028} <b>", "quantity": 10,
             "unitPrice": {"currencyCode": "KRW", "units": "1000"}},
            {"productId": "p2"},
        ],
        "total": {"currencyCode": "KRW", "units": "-9007199254740993", "nanos": -5},
        "createTime": "2026-01-02T03:04:05.006Z", "etag": "e",
    });
    written("/GetOrder", &order);
    written("/ListOrders", &json!({"orders": [order, {}], "nextPageToken": "n"}));
    for at in [
        "1969-12-31T23:59:59.5Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.000001Z",
        "2026-01-02T03:04:05.123456789Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ] {
        let (value, _) = written("/GetProduct", &json!({"createTime": at}));
        assert!(value["createTime"].as_str().is_some_and(|at| at.ends_with('Z')));
    }
    let view = json!({"orderId": "o1", "history": [{"state": "PLACED", "label": "주문접수"}]});
    written("/GetMyOrder", &view);
    written("/GetMyPage", &json!({"orderCount": "9223372036854775807"}));
}

#[test]
fn fields_at_their_default_are_written_and_unset_messages_are_not() {
    let (_, text) = written("/GetProduct", &json!({}));
    let state = r#""state":"STATE_UNSPECIFIED","description":"","picture":"""#;
    assert_eq!(text, format!(r#"{{"id":"","displayName":"","stock":0,"etag":"",{state}}}"#));
    let (_, text) = written("/GetMember", &json!({}));
    assert!(text.contains(r#""state":"STATE_UNSPECIFIED","couponIssued":false"#), "{text}");
    let (_, text) = written("/ListOrders", &json!({}));
    assert_eq!(text, r#"{"orders":[],"nextPageToken":""}"#);
    let (_, text) = written("/GetMileage", &json!({}));
    assert_eq!(text, r#"{"memberId":"","balance":"0"}"#);
}

#[test]
fn an_enum_number_without_a_name_is_written_as_a_number() {
    let (value, _) = written("/GetOrder", &json!({"state": 77}));
    assert_eq!(value["state"], 77);
}

#[test]
fn bytes_that_are_no_message_are_the_upstreams_fault() {
    let error = (route("/GetOrder").response)(&[0xff]).err().expect("no message");
    assert_eq!(error.kind(), Kind::Internal);
}
