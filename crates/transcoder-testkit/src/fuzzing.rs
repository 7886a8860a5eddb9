//! What the fuzz targets in `fuzz/` call: all that makes something of what others
//! sent. Whatever they sent, nothing panics and what is written is JSON. The tests
//! (`tests/it/fuzzing.rs`) do the same for a second, without libFuzzer's sense of what is new.

use std::sync::LazyLock;

use serde::de::IgnoredAny;
use transcoder::{Input, Media, Route, Router};

use crate::ROUTES;

fn route(number: u16) -> &'static Route {
    &ROUTES[usize::from(number) % ROUTES.len()]
}

/// Sends a path as it is to the router, and values, query and body to the route of this number.
pub fn request(path: &str, number: u16, values: &[&str], query: &str, body: &[u8]) {
    static ROUTER: LazyLock<Router> = LazyLock::new(|| Router::new(ROUTES).expect("routes"));
    let route = route(number);
    if let Ok((found, values)) = ROUTER.find(&route.verb, path) {
        assert_eq!(values.len(), found.variables.len());
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
