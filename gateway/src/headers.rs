//! What travels besides the message. Towards a service only what is named here:
//! whatever else a client sends, such as an identity of its own making, ends at
//! the gateway.

use base::{Error, error::Kind, etag};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tonic::metadata::MetadataMap;
use transcoder::{Media, Route, write::Body};
use uuid::Uuid;

use crate::{accept, coding, problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(rpc::IDEMPOTENCY_KEY);
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
/// What those who have no token sign their messages with: a service checks it.
const SIGNED: [HeaderName; 2] = [
    HeaderName::from_static("x-hansang-timestamp"),
    HeaderName::from_static("x-hansang-signature"),
];

/// The metadata of the call that a request becomes.
pub(crate) fn metadata(sent: &HeaderMap, route: &Route) -> Result<MetadataMap, Error> {
    let mut metadata = HeaderMap::with_capacity(8);
    if let Some(token) = sent.get(header::AUTHORIZATION) {
        metadata.insert(header::AUTHORIZATION, token.clone());
    }
    if !route.verb.is_safe()
        && let Some(key) = idempotency_key(sent, route)?
    {
        metadata.insert(IDEMPOTENCY_KEY, key);
    }
    if !route.verb.is_safe() {
        // To ignore a condition would be to do what the client has excluded.
        if sent.contains_key(header::IF_NONE_MATCH) {
            let detail = "is for GET and HEAD; to change only a known version, send If-Match";
            return Err(Error::violation("If-None-Match", detail));
        }
        if sent.contains_key(header::IF_MATCH) {
            let tags = HeaderValue::try_from(list(sent, &header::IF_MATCH)?);
            metadata.insert(header::IF_MATCH, tags.map_err(|_| not_ascii("If-Match"))?);
        }
    }
    // Of a body that a service gets as it was sent: nothing else can be checked.
    if route.takes == Media::Any {
        for name in SIGNED {
            if let Some(value) = sent.get(&name) {
                metadata.insert(name, value.clone());
            }
        }
    }
    telemetry::inject(&mut metadata);
    Ok(MetadataMap::from_headers(metadata))
}

/// The client's key; or a fresh one where repeating the call would do more, so that the gateway's
/// own retries are safe.
fn idempotency_key(sent: &HeaderMap, route: &Route) -> Result<Option<HeaderValue>, Error> {
    let Some(key) = sent.get(IDEMPOTENCY_KEY) else {
        let minted = (!route.idempotent).then(|| Uuid::now_v7().to_string());
        return Ok(minted.and_then(|key| HeaderValue::try_from(key).ok()));
    };
    let key = unquoted("Idempotency-Key", key)?;
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Error::violation(
            "Idempotency-Key",
            "must be 1 to 255 characters of visible ASCII",
        ));
    }
    Ok(Some(key))
}

/// A header's value without the quotes that structured strings come in.
fn unquoted(name: &str, value: &HeaderValue) -> Result<HeaderValue, Error> {
    let text = value.to_str().map_err(|_| not_ascii(name))?;
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    HeaderValue::from_str(inner).map_err(|_| not_ascii(name))
}

fn not_ascii(name: &str) -> Error {
    Error::violation(name, "must be visible ASCII")
}

/// All values of a header that is a list, as one. Of an entity tag what names the version counts, not
/// the coding that it came in.
fn list(sent: &HeaderMap, name: &HeaderName) -> Result<String, Error> {
    let values = sent.get_all(name).iter().map(HeaderValue::to_str);
    let values = values.collect::<Result<Vec<_>, _>>().map_err(|_| not_ascii(name.as_str()))?;
    Ok(coding::plain(&values.join(", ")))
}

/// Refuses a client that takes no type that this route answers with. A stream has forms of its own
/// (`stream`).
pub(crate) fn acceptable(sent: &HeaderMap, route: &Route) -> Result<(), Error> {
    let kinds = ["application/json", "application/problem+json"];
    if route.event_id.is_some()
        || route.gives == Media::Any
        || accept::preferred(sent, &kinds).is_some()
    {
        return Ok(());
    }
    let detail = "this is answered with application/json";
    Err(Error::new(Kind::Invalid, problem::NOT_ACCEPTABLE, detail))
}

/// The answer to OPTIONS: what else the path takes.
pub(crate) fn options(allow: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// The response to a call that succeeded. A service that made a resource names its path in
/// `location`. Whoever has what is in the body, by its `ETag`, gets none; who wanted another version
/// is told so. Commands' conditions are their services' matter.
pub(crate) fn response(
    sent: &HeaderMap,
    route: &Route,
    body: Body,
    metadata: MetadataMap,
) -> Result<Response<Full<Bytes>>, Error> {
    let Body { bytes, content_type, etag, .. } = body;
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    let known = match &etag {
        Some(etag) if route.verb.is_safe() => known(sent, etag)?,
        _ => false,
    };
    if let Some(etag) = etag {
        let etag = if known { coding::as_known(etag, sent) } else { etag };
        headers.insert(header::ETAG, etag);
    }
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    headers.insert(header::CONTENT_TYPE, content_type);
    if route.gives == Media::Any {
        // A service says what it is; a browser shall not guess.
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    let mut said = metadata.into_headers();
    if let Some(replayed) = said.remove(IDEMPOTENCY_REPLAYED) {
        headers.insert(IDEMPOTENCY_REPLAYED, replayed);
    }
    if let Some(location) = said.remove(header::LOCATION) {
        headers.insert(header::LOCATION, location);
        *response.status_mut() = StatusCode::CREATED;
    }
    *response.body_mut() = Full::from(bytes);
    Ok(response)
}

/// Whether the client has this version already (`If-None-Match`). Refuses one that wants another
/// (`If-Match`, which is looked at first: RFC 9110, 13.2.2).
fn known(sent: &HeaderMap, quoted: &HeaderValue) -> Result<bool, Error> {
    let tag = quoted.to_str().unwrap_or_default().trim_matches('"');
    let asks = |name: &HeaderName| sent.contains_key(name).then(|| list(sent, name)).transpose();
    if asks(&header::IF_MATCH)?.is_some_and(|wanted| !etag::matches(&wanted, tag)) {
        return Err(etag::stale(tag));
    }
    Ok(asks(&header::IF_NONE_MATCH)?.is_some_and(|known| etag::matches_weakly(&known, tag)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route;

    fn sent(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = headers.iter();
        pairs.map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn only_what_is_known_goes_on() {
        let sent = sent(&[
            ("authorization", "Bearer t"),
            ("x-member-id", "someone"),
            ("grpc-timeout", "1n"),
            ("if-match", "\"e1-gzip\", \"e2\""),
            ("idempotency-key", "\"k1\""),
        ]);
        let metadata = metadata(&sent, route("/PlaceOrder")).expect("metadata").into_headers();
        assert_eq!(metadata.len(), 3);
        assert_eq!(metadata["authorization"], "Bearer t");
        assert_eq!(metadata["if-match"], "\"e1\", \"e2\"");
        assert_eq!(metadata["idempotency-key"], "k1");
    }

    #[test]
    fn a_signature_goes_on_with_a_body_that_goes_on_as_it_is() {
        let sent = sent(&[("x-hansang-timestamp", "1"), ("x-hansang-signature", "00")]);
        let names = |method| {
            let metadata = metadata(&sent, route(method)).expect("metadata").into_headers();
            metadata.keys().filter(|name| name.as_str().starts_with("x-hansang")).count()
        };
        assert_eq!((names("/ReportParcel"), names("/CancelOrder")), (2, 0));
    }

    #[test]
    fn a_key_is_minted_where_repeating_would_do_more() {
        let key = |method| {
            let metadata = metadata(&HeaderMap::new(), route(method)).expect("metadata");
            metadata.get("idempotency-key").map(|key| key.to_str().expect("ascii").to_owned())
        };
        let (one, two) = (key("/PlaceOrder"), key("/PlaceOrder"));
        assert!(one.is_some() && two.is_some());
        assert_ne!(one, two);
        assert_eq!(key("/CancelOrder"), None);
        assert_eq!(key("/GetOrder"), None);
    }

    #[test]
    fn a_created_resource_is_201_with_its_location() {
        let mut metadata = MetadataMap::new();
        metadata.insert("location", "/v1/orders/1".parse().expect("ascii"));
        metadata.insert("idempotency-replayed", "true".parse().expect("ascii"));
        metadata.insert("x-internal", "secret".parse().expect("ascii"));
        let body = (route("/CancelOrder").response)(&[]).expect("a body");
        let response = response(&HeaderMap::new(), route("/CancelOrder"), body, metadata);
        let response = response.expect("no condition");
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()["location"], "/v1/orders/1");
        assert_eq!(response.headers()["idempotency-replayed"], "true");
        assert!(!response.headers().contains_key("x-internal"));
    }
}
