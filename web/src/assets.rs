//! The stylesheet, the scripts and the icon: in the binary, and kept by browsers for as long as they stay
//! the same, by their version in the address.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, Uri, header};

/// Path, kind, what is in it.
const ALL: [(&str, &str, &str); 3] = [
    (STYLE, "text/css; charset=utf-8", include_str!("../assets/shop.css")),
    (LIVE, "text/javascript; charset=utf-8", include_str!("../assets/live.js")),
    (ICON, "image/svg+xml", include_str!("../assets/icon.svg")),
];
pub(crate) const STYLE: &str = "/assets/shop.css";
pub(crate) const LIVE: &str = "/assets/live.js";
pub(crate) const ICON: &str = "/assets/icon.svg";

/// Of all of them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = ALL.iter().map(|(_, _, text)| *text).collect();
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, all.as_bytes()).as_ref()[..9])
});

/// Where a browser gets one of them.
pub(crate) fn address(path: &str) -> String {
    format!("{path}?v={}", *VERSION)
}

pub(crate) fn router() -> Router {
    ALL.iter().fold(Router::new(), |router, (path, kind, text)| {
        let answer = async move |uri: Uri| answer(kind, text, &uri);
        router.route(path, routing::get(answer))
    })
}

/// To be kept for as long as it is the version that was asked for.
fn answer(kind: &'static str, text: &'static str, uri: &Uri) -> Response {
    let is_this = uri.query().and_then(|it| it.strip_prefix("v=")) == Some(VERSION.as_str());
    let keep = if is_this { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = text.into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, keep),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
