//! Whatever is sent or answered: a second of it, from a random seed.

use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::json;

use transcoder::Input;
use transcoder_testkit::{
    ORACLE,
    fuzzing::{request, response},
    route,
};

const BODY: &str = r#"{"doubleField": "NaN", "int64Field": "-9", "bytesField": "YQ==", "shade": "LIGHT",
    "part": {"type": "t", "part": {}}, "parts": [{}, {"type": "\u00e9"}], "byInt32": {"-1": {}},
    "byName": {"a": [null, 1e3, {"b": true}]}, "chosenNull": null, "chosenPart": {}, "fieldMask": "a.b",
    "timestamp": "2026-01-02T03:04:05.5+09:00", "duration": "-1.5s", "stringValue": null, "match": ""}"#;
const QUERY: &str =
    "filter.not.shade=DARK&price=1.5&maxAge=-1.5s&cursor=-_8&readMask=a,bC&flag=true";
const PATH: &str = "/v1/shelves/a%2Fb/books/%EC%B0%A8:lend";
const PIECES: [&str; 18] = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "null",
    "1e400",
    "\\u0000",
    "\\ud800",
    "%",
    "%2f",
    "%ff",
    ".",
    "&",
    "/",
    "-9223372036854775808",
];

/// A text with a few bytes left out, changed, or put in.
fn altered(random: &mut StdRng, text: &[u8]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..random.random_range(0..5) {
        let at = random.random_range(0..=bytes.len());
        let to = (at + random.random_range(0..9)).min(bytes.len());
        let piece = PIECES.choose(random).expect("pieces").as_bytes();
        let with = match random.random_range(0..3) {
            0 => &[][..],
            1 => piece,
            _ => &[random.random(), random.random()],
        };
        bytes.splice(at..to, with.iter().copied());
    }
    bytes
}

#[test]
fn nothing_that_is_sent_or_answered_makes_it_panic() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let kinds = json!({"doubles": [1.5], "parts": [{"type": "t"}], "byName": {"a": {"b": null}},
        "byInt32": {"-1": {}}, "chosenDuration": "1s", "timestamp": "2026-01-02T03:04:05Z"});
    let answer = ORACLE.response(route("/EchoKinds"), &kinds);
    let end = Instant::now() + Duration::from_secs(1);
    let (mut rounds, mut good) = (0, 0);
    while Instant::now() < end {
        let text = |random: &mut StdRng, text: &str| {
            String::from_utf8_lossy(&altered(random, text.as_bytes())).into_owned()
        };
        let (path, query) = (text(&mut random, PATH), text(&mut random, QUERY));
        let body = if random.random() { BODY } else { "" };
        let body = altered(&mut random, body.as_bytes());
        request(&path, random.random(), &[&path, &query], &query, &body);
        let kinds = route("/EchoKinds");
        let input = Input { path: &[], query: "", body: &body, content_type: "" };
        good += u32::from((kinds.request)(&input).is_ok());
        let answer = altered(&mut random, &answer);
        response(random.random(), &answer);
        rounds += 1;
    }
    assert!(good > rounds / 50, "of {rounds} bodies only {good} were read");
}
