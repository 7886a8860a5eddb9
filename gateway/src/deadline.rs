//! How long a client wants to wait: `X-Request-Timeout`, in seconds or with a unit
//! (`2`, `0.5s`, `250ms`), or gRPC's `grpc-timeout` (`250m`). Only ever less than
//! what the gateway allows.

use std::time::Duration;

use base::Error;
use http::HeaderMap;

/// The time for a request: what its client asks for, but not more than `most`.
pub(crate) fn within(sent: &HeaderMap, most: Duration) -> Result<Duration, Error> {
    let mut time = most;
    for (name, read, form) in [
        ("x-request-timeout", seconds as fn(&str) -> Option<Duration>, "2, 0.5s or 250ms"),
        ("grpc-timeout", grpc, "1 to 8 digits and one of H, M, S, m, u, n"),
    ] {
        if let Some(value) = sent.get(name) {
            let asked = value.to_str().ok().and_then(read);
            time =
                time.min(asked.ok_or_else(|| Error::violation(name, format!("must be {form}")))?);
        }
    }
    Ok(time)
}

fn seconds(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.trim().parse().ok().map(Duration::from_millis);
    }
    let seconds = text.strip_suffix('s').unwrap_or(text).trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// As gRPC over HTTP/2 has it: `TimeoutValue TimeoutUnit`.
fn grpc(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(name: &'static str, value: &'static str) -> Result<u128, String> {
        let value = HeaderValue::from_static(value);
        let sent = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        let time = within(&sent, Duration::from_secs(5));
        time.map(|time| time.as_millis()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_client_may_wait_less_and_not_more() {
        for (value, millis) in
            [("2", 2_000), ("0.5", 500), ("1.5s", 1_500), ("250ms", 250), ("0", 0), ("60", 5_000)]
        {
            assert_eq!(asked("x-request-timeout", value), Ok(millis), "{value}");
        }
        for (value, millis) in
            [("250m", 250), ("1S", 1_000), ("99999999H", 5_000), ("1M", 5_000), ("1000u", 1)]
        {
            assert_eq!(asked("grpc-timeout", value), Ok(millis), "{value}");
        }
        assert_eq!(within(&HeaderMap::new(), Duration::MAX).ok(), Some(Duration::MAX));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for value in
            ["", "-1", "soon", "1m", "1e400", "NaN", "1.5ms", "ms", "99999999999999999999ms"]
        {
            let error = asked("x-request-timeout", value).expect_err(value);
            assert!(error.contains("x-request-timeout"), "{error}");
        }
        for value in ["", "1", "m", "123456789m", "1.5S", "+1S", "1x", "1é"] {
            assert!(HeaderValue::from_str(value).is_err() || grpc(value).is_none(), "{value}");
        }
    }
}
