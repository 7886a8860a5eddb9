//! Bodies of every kind, held against the oracle: both make the same message of
//! one, or both refuse it. The last tables have those where they differ, and why.

use transcoder::Input;
use transcoder_testkit::{ORACLE, route, set};

/// What this gateway makes of a body, by the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The same message, or a refusal as well.
    Same,
    /// Refused here alone.
    Stricter,
    /// Refused by the oracle alone.
    Laxer,
}

use Verdict::{Laxer, Same, Stricter};

fn verdict(body: &str) -> Verdict {
    let route = route("/EchoKinds");
    let input = Input { path: &[], query: "", body: body.as_bytes(), content_type: "" };
    match ((route.request)(&input), ORACLE.parse(route, body)) {
        (Ok(bytes), Ok(message)) => {
            let read = ORACLE.decode(route, &bytes);
            assert_eq!(set(&read), set(&message), "{body}");
            Same
        }
        (Err(_), Err(_)) => Same,
        (Err(_), Ok(_)) => Stricter,
        (Ok(_), Err(_)) => Laxer,
    }
}

/// Members of a body, with each value in the place of the `_`.
fn check(expected: Verdict, members: &str, values: &str) {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for member in members.lines().map(str::trim).filter(|line| !line.is_empty()) {
        for value in values.split("   ").map(str::trim).filter(|value| !value.is_empty()) {
            let body = format!("{{{}}}", member.replacen('_', value, 1));
            let found = verdict(&body);
            count += 1;
            if found != expected {
                wrong.push(format!("{found:?}: {body}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not {expected:?}:\n{}", wrong.join("\n"));
    assert!(count > 0, "nothing was compared");
}

const INTEGERS: &str = r#"
    "int32Field": _
    "int64Field": _
    "uint32Field": _
    "uint64Field": _
    "sint32Field": _
    "sint64Field": _
    "fixed32Field": _
    "fixed64Field": _
    "sfixed32Field": _
    "sfixed64Field": _
    "optionalInt64": _
    "chosenInt64": _
    "int32s": [_]
    "uint64s": [1, _]
    "int64Value": _
    "uint64Value": _
    "int32Value": _
    "uint32Value": _
"#;

#[test]
fn integers() {
    let values = r#"
        0   7   -7   1.0   1e2   1.5   01   +1   1.   1e400   "1"   "-1"   "1.5"   ""   "1 "   "0x1"
        "ten"   "NaN"   true   null   []   {}   [1]   2147483647   2147483648   -2147483648
        -2147483649   4294967295   4294967296   9007199254740993   "9007199254740993"
        9223372036854775807   9223372036854775808   -9223372036854775808   18446744073709551615
        "18446744073709551615"   "18446744073709551616"
    "#;
    check(Same, INTEGERS, &values.replace('\n', "   "));
}

#[test]
fn numbers() {
    let members = r#"
        "doubleField": _
        "floatField": _
        "optionalDouble": _
        "doubles": [_]
        "byBool": {"true": _}
        "doubleValue": _
        "floatValue": _
    "#;
    let values = r#"
        0   -0.0   0.1   1.5   1e10   -1e-10   5e-324   123456789.12345678   0.30000000000000004
        9007199254740993   1e39   -1e39   1.7976931348623157e308   1e309   NaN   "1.5"   "NaN"
        "Infinity"   "-Infinity"   ""   " 1"   "0x1p3"   "one"   true   null   []   {}
    "#;
    check(Same, members, &values.replace('\n', "   "));
}

#[test]
fn texts() {
    let members = r#"
        "stringField": _
        "strings": [_]
        "optionalString": _
        "chosenString": _
        "byString": {"a": _}
        "byString": {"": _}
        "stringValue": _
        "otherName": _
        "renamed": _
        "match": _
        "part": {"type": _}
    "#;
    let values = r#"
        ""   "a"   "주문 \u00e9 \" \\ \n"   "\ud83c\udf75"   "\ud83c"   "\x"   1   true   null   []   {}
    "#;
    check(Same, members, values);
}

#[test]
fn bytes() {
    let members = r#"
        "bytesField": _
        "byteses": [_]
        "optionalBytes": _
        "chosenBytes": _
        "byUint64": {"1": _}
        "bytesValue": _
    "#;
    let values = r#"
        ""   "YQ=="   "YQ"   "-_-_"   "+/+/"   "+_"   "+_=="   "Y"   "YR=="   "Y Q"   "*"   1   []   [97]
    "#;
    check(Same, members, values);
}

#[test]
fn words() {
    let bools = r#"
        "boolField": _
        "optionalBool": _
        "bools": [_]
        "boolValue": _
    "#;
    check(Same, bools, r#"true   false   TRUE   "true"   0   1   ""   null   []"#);
    let shades = r#"
        "shade": _
        "optionalShade": _
        "shades": [_]
        "bySint64": {"-1": _}
        "chosenShade": _
    "#;
    let values = r#"
        "LIGHT"   "DARK"   "light"   ""   "1"   1   -2   77   1.0   1.5   true   null   []   2147483648
    "#;
    check(Same, shades, values);
}

#[test]
fn maps() {
    let members = r#"
        "byInt32": {_: {"type": "t"}}
        "bySint64": {_: "LIGHT"}
        "byUint64": {_: "YQ=="}
        "byFixed32": {_: "2026-01-02T03:04:05Z"}
        "byBool": {_: 1}
        "byString": {_: "v"}
    "#;
    let keys = r#"
        "1"   "-1"   "0"   "a"   ""   "1.5"   " 1"   "true"   "True"   1   a   "4294967296"
        "18446744073709551616"
    "#;
    check(Same, members, &keys.replace('\n', "   "));
    let values = r#"
        {}   null   []   1   {"a": null}   {"a": {}}   {"1": null}   {"1": {"part": {"part": {}}}, "2": {}}
    "#;
    check(Same, "\"byString\": _\n\"byInt32\": _\n\"byName\": _", values);
}

#[test]
fn oneofs() {
    let others = r#"
        "chosenInt64": _
        "chosenString": "a", "chosenInt64": _
        "chosenInt64": _, "chosenString": "a"
        "chosenNull": null, "chosenInt64": _
        "chosenInt64": _, "chosenNull": null
        "chosenValue": null, "chosenInt64": _
        "chosenPart": {}, "chosenInt64": _
    "#;
    check(Same, others, r#"1   "1"   null   "a""#);
    let members = r#"
        "chosenNull": _
        "chosenPart": _
        "chosenDuration": _
        "chosenValue": _
        "chosenShade": _
    "#;
    check(Same, members, r#"null   {}   []   "1s"   "NULL_VALUE"   {"type": "t"}"#);
}

#[test]
fn well_known_types() {
    let times = r#"
        "2026-01-02T03:04:05Z"   "2026-01-02T03:04:05.1Z"   "2026-01-02T03:04:05.123456789Z"
        "2026-01-02T03:04:05+09:00"   "2026-01-02T03:04:05-00:30"
        "2026-01-02t03:04:05z"   "2026-01-02 03:04:05Z"   "2026-01-02T03:04:05"   "2026-02-30T03:04:05Z"
        "2026-01-02T24:00:00Z"   "0001-01-01T00:00:00Z"   "0000-12-31T23:59:59Z"
        "9999-12-31T23:59:59.999999999Z"   "10000-01-01T00:00:00Z"   "1969-12-31T23:59:59.5Z"
        "0001-01-01T00:00:00+01:00"   ""   "now"   1   null   {}   []
    "#;
    let spans = r#"
        "1s"   "0s"   "-1s"   "1.5s"   "-1.5s"   "0.000000001s"   "-0.5s"   "315576000000s"
        "315576000001s"   "-315576000000.999999999s"   "1"   "s"   "1e2s"   " 1s"   "--1s"   "1m"   ""   1   {}
    "#;
    let masks = r#"""   "a,b.cD"   "a_b"   ["a"]   1   {}   null"#;
    check(Same, "\"timestamp\": _\n\"timestamps\": [_]", &times.replace('\n', "   "));
    check(Same, "\"duration\": _", &spans.replace('\n', "   "));
    check(Same, "\"fieldMask\": _", masks);
    let shapeless = r#"
        "value": _
        "struct": _
        "listValue": _
        "values": [_, 1]
        "empty": _
        "byName": {"a": _}
        "nullValue": _
    "#;
    let values = r#"
        null   true   1.5   1e400   9007199254740993   "a"   []   [null, 1, [], {}]   {}   {"a": 1}
        {"a": {"b": [null, "c"]}}   "NULL_VALUE"
    "#;
    check(Same, shapeless, &values.replace('\n', "   "));
}

#[test]
fn names_and_absent_values() {
    let members = r#"
        "string_field": _
        "STRINGFIELD": _
        "unknown": _
        "stringField ": _
        "": _
        "part": {"part": {"part": {"type": _}}}
        "part": {"type": "t", "x": _}
        "part": _
        "parts": [_]
        "parts": [{}, {"type": _}]
        "int64Values": [_]
        "stringValue": _
        "int32s": [_]
        "strings": _
    "#;
    check(Same, members, r#""a"   1   null   {}   []   [null]   {"value": "a"}"#);
}

#[test]
fn what_is_refused_here_and_not_by_the_oracle() {
    let cases = r#"
        "stringField": "a", "stringField": "b"
        "stringField": "a", "string_field": "b"
        "byString": {"a": "b", "a": "c"}
        "byInt32": {"1": {}, "01": {}}
        "struct": {"a": 1, "a": 2}
        "stringField": "\u0000"
        "byString": {"a": "\u0000"}
        "byString": {"\u0000": "a"}
        "value": ["\u0000"]
        "uint64Field": 18446744073709551616
        "timestamp": "2026-01-02T03:04:05.1234567891Z"
        "timestamp": "2026-01-02T03:04:60Z"
        "duration": "1.0000000001s"
        "fieldMask": "a,,b"
        "fieldMask": "a b"
    "#;
    // One value twice, a text that Postgres cannot hold, what the oracle cuts off or moves to the
    // next minute, a path that names no field.
    check(Stricter, cases, "_");
}

#[test]
fn what_is_refused_by_the_oracle_and_not_here() {
    // Proto3 JSON takes exponents in quotes as well, and the largest float.
    check(Laxer, INTEGERS, r#""1.0"   "1e2""#);
    check(Laxer, "\"floatField\": _\n\"floatValue\": _", "3.4028235e38");
    // An enum's number is as good as its name, also NullValue's.
    check(Laxer, "\"nullValue\": _\n\"chosenNull\": _", "0");
}
