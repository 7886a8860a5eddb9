//! What the fuzz targets in `fuzz/` call: all that makes something of what others
//! sent. Whatever they sent, nothing panics and what is written is JSON. The tests
//! do the same for a second, without libFuzzer's sense of what is new.

use std::sync::LazyLock;

use serde::de::IgnoredAny;

use crate::{
    library,
    route::{Media, ROUTES, Route, Router},
    transcode::Input,
};

/// Hansang's routes, and those of the contract that uses all that can be mapped.
fn routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(library::ROUTES)
}

fn route(number: u16) -> &'static Route {
    let count = routes().count();
    routes().nth(usize::from(number) % count).expect("there are routes")
}

/// Sends a path as it is to the routers, and values, query and body to the route of this number.
pub fn request(path: &str, number: u16, values: &[&str], query: &str, body: &[u8]) {
    static ROUTERS: LazyLock<[Router; 2]> = LazyLock::new(|| {
        [ROUTES, library::ROUTES].map(|routes| Router::new(routes).expect("routes"))
    });
    let route = route(number);
    for router in ROUTERS.iter() {
        if let Ok((found, values)) = router.find(&route.verb, path) {
            assert_eq!(values.len(), found.variables.len());
        }
    }
    let input = Input { path: values, query, body, content_type: "text/plain" };
    // A refusal is as good.
    let _ = (route.request)(&input);
}

/// Answers with these bytes, at the route of this number.
pub fn response(number: u16, bytes: &[u8]) {
    let route = route(number);
    if let Ok(body) = (route.response)(bytes)
        && route.gives == Media::Json
    {
        serde_json::from_slice::<IgnoredAny>(&body.bytes).expect("JSON");
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
    use serde_json::json;

    use super::*;
    use crate::oracle;

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
        let answer = oracle::response(oracle::route("/EchoKinds"), &kinds);
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
            let kinds = oracle::route("/EchoKinds");
            let input = Input { path: &[], query: "", body: &body, content_type: "" };
            good += u32::from((kinds.request)(&input).is_ok());
            let answer = altered(&mut random, &answer);
            response(random.random(), &answer);
            rounds += 1;
        }
        assert!(good > rounds / 50, "of {rounds} bodies only {good} were read");
    }
}
