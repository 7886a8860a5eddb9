//! Errors as clients see them: RFC 9457, `application/problem+json`. The only
//! place that turns a gRPC status into an HTTP one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// gRPC's codes: their names and what they are in HTTP.
const CODES: [(Code, &str, StatusCode); 16] = [
    (Code::Cancelled, "CANCELLED", StatusCode::GATEWAY_TIMEOUT),
    (Code::Unknown, "UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR),
    (Code::InvalidArgument, "INVALID_ARGUMENT", StatusCode::BAD_REQUEST),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED", StatusCode::GATEWAY_TIMEOUT),
    (Code::NotFound, "NOT_FOUND", StatusCode::NOT_FOUND),
    (Code::AlreadyExists, "ALREADY_EXISTS", StatusCode::CONFLICT),
    (Code::PermissionDenied, "PERMISSION_DENIED", StatusCode::FORBIDDEN),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED", StatusCode::TOO_MANY_REQUESTS),
    (Code::FailedPrecondition, "FAILED_PRECONDITION", StatusCode::CONFLICT),
    (Code::Aborted, "ABORTED", StatusCode::CONFLICT),
    (Code::OutOfRange, "OUT_OF_RANGE", StatusCode::BAD_REQUEST),
    (Code::Unimplemented, "UNIMPLEMENTED", StatusCode::NOT_IMPLEMENTED),
    (Code::Internal, "INTERNAL", StatusCode::INTERNAL_SERVER_ERROR),
    (Code::Unavailable, "UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE),
    (Code::DataLoss, "DATA_LOSS", StatusCode::INTERNAL_SERVER_ERROR),
    (Code::Unauthenticated, "UNAUTHENTICATED", StatusCode::UNAUTHORIZED),
];

/// Reasons that HTTP has a status of its own for, whatever their code.
const REASONS: [(&str, StatusCode); 11] = [
    ("STALE_ETAG", StatusCode::PRECONDITION_FAILED),
    ("IDEMPOTENCY_KEY_REUSED", StatusCode::UNPROCESSABLE_ENTITY),
    ("TOO_MANY_ATTEMPTS", StatusCode::TOO_MANY_REQUESTS),
    (METHOD_NOT_ALLOWED, StatusCode::METHOD_NOT_ALLOWED),
    (METHOD_UNKNOWN, StatusCode::NOT_IMPLEMENTED),
    (URI_TOO_LONG, StatusCode::URI_TOO_LONG),
    (BODY_TOO_LARGE, StatusCode::PAYLOAD_TOO_LARGE),
    (BODY_TOO_SLOW, StatusCode::REQUEST_TIMEOUT),
    (NOT_JSON, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    (CODED, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    (NOT_ACCEPTABLE, StatusCode::NOT_ACCEPTABLE),
];

pub(crate) const METHOD_NOT_ALLOWED: &str = "METHOD_NOT_ALLOWED";
pub(crate) const METHOD_UNKNOWN: &str = "METHOD_UNKNOWN";
pub(crate) const URI_TOO_LONG: &str = "URI_TOO_LONG";
pub(crate) const BODY_TOO_LARGE: &str = "BODY_TOO_LARGE";
pub(crate) const BODY_TOO_SLOW: &str = "BODY_TOO_SLOW";
pub(crate) const NOT_JSON: &str = "NOT_JSON";
pub(crate) const CODED: &str = "CONTENT_ENCODING";
pub(crate) const NOT_ACCEPTABLE: &str = "NOT_ACCEPTABLE";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    domain: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Violation<'a> {
    field: &'a str,
    description: &'a str,
}

/// The response for a failed call. `instance` is the request's path.
pub(crate) fn response(
    status: &Status,
    instance: &str,
    trace_id: Option<&str>,
) -> Response<Full<Bytes>> {
    let details = status.get_error_details();
    let (reason, domain) =
        details.error_info().map_or(("", ""), |info| (info.reason.as_str(), info.domain.as_str()));
    let (code, http) = look_up(status.code(), reason);
    let violations = details.bad_request().map_or(&[][..], |bad| &bad.field_violations);
    let problem = Problem {
        kind: if reason.is_empty() {
            "about:blank".into()
        } else {
            format!("urn:{domain}:problem:{reason}")
        },
        title: http.canonical_reason().unwrap_or(code),
        status: http.as_u16(),
        detail: status.message(),
        instance,
        code,
        reason,
        domain,
        violations: violations
            .iter()
            .map(|v| Violation { field: &v.field, description: &v.description })
            .collect(),
        trace_id,
    };
    // Strings and numbers: they all have a JSON form.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    // What would have been right (RFC 9110, 15.5.16).
    match reason {
        NOT_JSON => {
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
        CODED => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        // Another request would get another answer (12.5.5).
        NOT_ACCEPTABLE => {
            headers.insert(header::VARY, header::ACCEPT.into());
        }
        BODY_TOO_SLOW => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    let retry = details.retry_info().and_then(|info| info.retry_delay);
    if http == StatusCode::SERVICE_UNAVAILABLE || retry.is_some() {
        headers.insert(header::RETRY_AFTER, seconds(retry.unwrap_or_default()).into());
    }
    response
}

fn look_up(code: Code, reason: &str) -> (&'static str, StatusCode) {
    let (_, name, http) = CODES.into_iter().find(|(candidate, ..)| *candidate == code).unwrap_or((
        Code::Unknown,
        "UNKNOWN",
        StatusCode::INTERNAL_SERVER_ERROR,
    ));
    let special = REASONS.into_iter().find(|(candidate, _)| *candidate == reason);
    (name, special.map_or(http, |(_, http)| http))
}

/// Whole seconds, rounded up, at least 1.
fn seconds(delay: Duration) -> u64 {
    (delay.as_secs() + u64::from(delay.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use base::{Error, error::Kind};
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    use super::*;

    async fn read(error: Error) -> (http::response::Parts, Value) {
        let response = response(&error.into(), "/v1/things", Some("abc"));
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("body").to_bytes();
        (parts, serde_json::from_slice(&body).expect("json"))
    }

    #[tokio::test]
    async fn a_violation_is_400_with_its_field() {
        let (parts, problem) =
            read(Error::violation("lines[0].quantity", "must be 1 or more")).await;
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            problem,
            json!({
                "type": "urn:hansang:problem:INVALID_FIELD",
                "title": "Bad Request",
                "status": 400,
                "detail": "lines[0].quantity: must be 1 or more",
                "instance": "/v1/things",
                "code": "INVALID_ARGUMENT",
                "reason": "INVALID_FIELD",
                "domain": "hansang",
                "violations": [{"field": "lines[0].quantity", "description": "must be 1 or more"}],
                "traceId": "abc",
            })
        );
    }

    #[tokio::test]
    async fn each_kind_and_special_reason_has_its_status() {
        let cases = [
            (Kind::Invalid, "X", 400),
            (Kind::Unauthenticated, "X", 401),
            (Kind::Forbidden, "X", 403),
            (Kind::NotFound, "X", 404),
            (Kind::AlreadyExists, "X", 409),
            (Kind::Conflict, "X", 409),
            (Kind::Conflict, "STALE_ETAG", 412),
            (Kind::Invalid, "IDEMPOTENCY_KEY_REUSED", 422),
            (Kind::Aborted, "X", 409),
            (Kind::Exhausted, "X", 429),
            (Kind::Unavailable, "X", 503),
            (Kind::DeadlineExceeded, "X", 504),
            (Kind::Internal, "X", 500),
        ];
        for (kind, reason, expected) in cases {
            let (parts, problem) = read(Error::new(kind, reason, "no")).await;
            assert_eq!(parts.status.as_u16(), expected, "{kind:?} {reason}");
            assert_eq!(problem["status"], expected);
        }
    }

    #[tokio::test]
    async fn an_outage_says_when_to_come_back_in_whole_seconds() {
        let error = Error::unavailable("AWAY", "away").retry_after(Duration::from_millis(1200));
        let (parts, _) = read(error).await;
        assert_eq!(parts.headers[header::RETRY_AFTER], "2");
        let (parts, _) = read(Error::new(Kind::Unavailable, "AWAY", "away")).await;
        assert_eq!(parts.headers[header::RETRY_AFTER], "1");
    }
}
