//! Responses of every kind, held against the oracle.

use base::error::Kind;
use buffa::Message as _;
use buffa_types::google::protobuf::{FloatValue, Timestamp, Value as AnyValue};
use serde_json::{Value, json};

use transcoder::Media;
use transcoder_testkit::{ORACLE, messages::test::library::v1::Kinds, route};

fn written(method: &str, bytes: &[u8]) -> Value {
    let body = (route(method).response)(bytes).expect("writes");
    assert_eq!(body.content_type, "application/json");
    serde_json::from_slice(&body.bytes).expect("JSON")
}

#[test]
fn every_kind_is_written_as_the_oracle_writes_it() {
    let route = route("/EchoKinds");
    let kinds = [
        json!({}),
        json!({"doubleField": 0.1, "floatField": 0.1, "doubles": [1.0, -0.0, 1e300, 5e-324, 1e21]}),
        json!({"doubleField": "NaN", "floatField": "-Infinity", "doubles": ["Infinity"]}),
        json!({"int64Field": "-9223372036854775808", "uint64Field": "18446744073709551615",
               "fixed32Field": 4_294_967_295_u32, "sint64Field": "-1", "uint64s": ["0"]}),
        json!({"bytesField": "AP/+", "byteses": ["", "YQ=="], "optionalBytes": ""}),
        json!({"shade": "DARK", "optionalShade": "SHADE_UNSPECIFIED", "shades": ["LIGHT", 77]}),
        json!({"part": {}, "parts": [{"type": "t", "part": {"part": {}}}, {}], "match": "m"}),
        json!({"optionalDouble": 0.0, "optionalInt64": "0", "optionalBool": false,
               "optionalString": "", "otherName": "주문 \" \\ \u{1} \u{2028}"}),
        json!({"byString": {"": "", "a\"b": "\u{7f}"}, "byInt32": {"-1": {"type": "t"}, "0": {}},
               "bySint64": {"-9": "DARK", "9": 77}, "byBool": {"true": 1.5, "false": "NaN"},
               "byUint64": {"18446744073709551615": "YQ=="}, "byName": {"n": null, "l": [1.0]},
               "byFixed32": {"1": "2026-01-02T03:04:05Z"}}),
        json!({"timestamp": "0001-01-01T00:00:00.000001Z", "duration": "-0.500s",
               "fieldMask": "a,b.cD", "empty": {}, "timestamps": ["9999-12-31T23:59:59Z"]}),
        json!({"struct": {"a": {"b": [null, true, "c", 1.5]}}, "value": null, "listValue": [{}],
               "values": [null, {}]}),
        json!({"doubleValue": 0.0, "floatValue": 0.1, "int64Value": "0", "uint64Value": "1",
               "int32Value": 0, "uint32Value": 1, "boolValue": false, "stringValue": "",
               "bytesValue": "YQ==", "int64Values": ["1"]}),
        json!({"chosenString": ""}),
        json!({"chosenInt64": "0"}),
        json!({"chosenBytes": ""}),
        json!({"chosenShade": "SHADE_UNSPECIFIED"}),
        json!({"chosenPart": {}}),
        json!({"chosenNull": null}),
        json!({"chosenDuration": "1s"}),
        json!({"chosenValue": null}),
    ];
    for kind in kinds {
        let bytes = ORACLE.response(route, &kind);
        assert_eq!(written("/EchoKinds", &bytes), ORACLE.json(route, &bytes), "{kind}");
    }
}

#[test]
fn a_wrapped_number_can_be_none() {
    // The oracle writes `null`, which is another thing.
    let kinds = Kinds {
        float_value: FloatValue { value: f32::NAN, ..Default::default() }.into(),
        ..Default::default()
    };
    assert_eq!(written("/EchoKinds", &kinds.encode_to_vec())["floatValue"], "NaN");
}

#[test]
fn of_a_maps_key_that_came_twice_the_last_counts() {
    let route = route("/EchoKinds");
    let mut bytes = ORACLE.response(route, &json!({"byString": {"a": "1", "b": "2"}}));
    bytes.extend(ORACLE.response(route, &json!({"byString": {"a": "3"}})));
    assert_eq!(written("/EchoKinds", &bytes)["byString"], json!({"a": "3", "b": "2"}));
}

#[test]
fn what_has_no_json_is_the_upstreams_fault() {
    let late = Timestamp { seconds: i64::MAX, ..Default::default() };
    let kinds = [
        Kinds { timestamp: late.into(), ..Default::default() },
        Kinds { value: AnyValue::from(f64::NAN).into(), ..Default::default() },
    ];
    for kind in kinds {
        let answer = (route("/EchoKinds").response)(&kind.encode_to_vec());
        assert_eq!(answer.err().expect("refused").kind(), Kind::Internal);
    }
}

#[test]
fn a_field_of_the_response_can_be_the_body() {
    let route = route("/ListBooks");
    let bytes = ORACLE.response(route, &json!({"books": [{"title": "t"}, {}]}));
    let books = written("/ListBooks", &bytes);
    assert_eq!((books[0]["title"].as_str(), books[1]["title"].as_str()), (Some("t"), Some("")));
    assert_eq!(written("/ListBooks", &[]), json!([]));
    let route = transcoder_testkit::route("/UpdateBook");
    let bytes = ORACLE.response(route, &json!({"book": {"title": "t", "etag": "e1"}}));
    assert_eq!(written("/UpdateBook", &bytes)["title"], "t");
    assert_eq!((route.response)(&bytes).expect("writes").etag.expect("a tag"), "\"e1\"");
    assert_eq!(written("/UpdateBook", &[]), Value::Null);
    assert_eq!(written("/LendBook", &[]), json!({}));
}

#[test]
fn bytes_of_any_type_are_answered_as_they_are() {
    for (method, file) in [
        ("/Print", json!({"contentType": "image/png", "data": "iVBORw=="})),
        ("/PutCover", json!({"file": {"contentType": "image/png", "data": "iVBORw=="}})),
    ] {
        let route = route(method);
        assert_eq!((route.takes, route.gives), (Media::Any, Media::Any));
        let body = (route.response)(&ORACLE.response(route, &file)).expect("bytes");
        assert_eq!(
            (body.content_type.as_bytes(), &*body.bytes),
            (&b"image/png"[..], &b"\x89PNG"[..])
        );
    }
    let untyped = (route("/Print").response)(&[]).expect("bytes");
    assert_eq!(untyped.content_type, "application/octet-stream");
}

#[test]
fn a_tag_is_quoted_and_one_that_cannot_be_is_left_out() {
    let route = route("/GetBook");
    let tag = |etag: &str| {
        let bytes = ORACLE.response(route, &json!({"etag": etag}));
        let tag = (route.response)(&bytes).expect("writes").etag;
        tag.map(|tag| tag.to_str().expect("ascii").to_owned())
    };
    assert_eq!(tag("e1").as_deref(), Some("\"e1\""));
    for none in ["", "a\"b", "a b", "주문", "\n"] {
        assert_eq!(tag(none), None, "{none:?}");
    }
}
