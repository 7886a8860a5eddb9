//! Which pages may call from a browser (CORS): those of the configured origins, with
//! a token in a header. No cookies, so that no page can act for someone who has
//! signed in on another.

use std::time::Duration;

use base::{Error, error::Kind};
use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what it was told; Chromium takes two hours at most.
const REMEMBER: Duration = Duration::from_hours(2);

/// What pages may send, besides what all may.
const SENT: [&str; 12] = [
    "authorization",
    "content-type",
    "grpc-timeout",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "traceparent",
    "x-grpc-web",
    "x-request-id",
    "x-request-timeout",
    "x-user-agent",
];

/// What pages may see, besides what all may.
const SEEN: [&str; 10] = [
    "allow",
    "etag",
    "grpc-message",
    "grpc-status",
    "grpc-status-details-bin",
    "idempotency-replayed",
    "location",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];

/// The layer for these origins, separated by commas; `*` is any, and without one there is no layer.
pub(crate) fn layer(origins: &str) -> Result<Option<CorsLayer>, Error> {
    let origins: Vec<&str> =
        origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
    let allowed = match origins.as_slice() {
        [] => return Ok(None),
        ["*"] => AllowOrigin::any(),
        origins => AllowOrigin::list(
            origins.iter().map(|origin| read(origin)).collect::<Result<Vec<_>, _>>()?,
        ),
    };
    let methods =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    Ok(Some(
        CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods(methods)
            .allow_headers(SENT.map(HeaderName::from_static))
            .expose_headers(SEEN.map(HeaderName::from_static))
            .max_age(REMEMBER)
            .vary([header::ORIGIN]),
    ))
}

/// An origin as browsers send it: `https://shop.example`, without a path.
fn read(origin: &str) -> Result<HeaderValue, Error> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let right = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ']));
    HeaderValue::from_str(origin).ok().filter(|_| right).ok_or_else(|| {
        let detail = format!("http.cors_origins: {origin:?} is not an origin (https://host:port)");
        Error::new(Kind::Invalid, "CONFIGURATION", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_checked_at_the_start() {
        for right in ["*", "https://shop.example", " http://localhost:3000, https://b.example "] {
            assert!(layer(right).expect(right).is_some());
        }
        assert!(layer("").expect("none").is_none() && layer(" , ").expect("none").is_none());
        for wrong in ["shop.example", "https://shop.example/", "https://*.example", "*, http://a"] {
            assert_eq!(layer(wrong).expect_err(wrong).reason(), "CONFIGURATION");
        }
    }
}
