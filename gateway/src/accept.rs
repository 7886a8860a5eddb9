//! What a client takes: `Accept`, as RFC 9110 (12.5.1) has it. Of several types the
//! most specific range that takes one in says how much it is wanted.

use std::cmp::Reverse;

use http::{HeaderMap, header};

/// Which of these types the client likes best: by weight, then the one that it names first. None
/// when it takes none of them. Whoever does not say takes all.
pub(crate) fn preferred(sent: &HeaderMap, kinds: &[&str]) -> Option<usize> {
    if !sent.contains_key(header::ACCEPT) {
        return Some(0);
    }
    let values = sent.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> =
        values.flat_map(|value| value.split(',')).map(Range::parse).collect();
    let wanted = kinds.iter().enumerate().filter_map(|(at, kind)| {
        let (_, Reverse(place), weight) = ranges
            .iter()
            .enumerate()
            .filter_map(|(place, range)| Some((range.rank(kind)?, Reverse(place), range.weight)))
            .max()?;
        (weight > 0).then_some((weight, Reverse(place), Reverse(at)))
    });
    wanted.max().map(|(_, _, Reverse(at))| at)
}

/// One media range, `text/*;q=0.5`.
struct Range<'a> {
    kind: &'a str,
    /// Thousandths; 0 is a no.
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(range: &'a str) -> Self {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix(['q', 'Q'])?.strip_prefix('='));
        Self { kind, weight: weight.map_or(1000, thousandths) }
    }

    /// How specifically it takes a type in, if it does.
    fn rank(&self, kind: &str) -> Option<u8> {
        let family = kind.split('/').next().unwrap_or_default();
        match self.kind.split_once('/')? {
            ("*", "*") => Some(1),
            (of, "*") if of.eq_ignore_ascii_case(family) => Some(2),
            _ if self.kind.eq_ignore_ascii_case(kind) => Some(3),
            _ => None,
        }
    }
}

/// What is no weight is a no.
pub(crate) fn thousandths(weight: &str) -> u16 {
    let weight: f32 = weight.trim().parse().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let thousandths = (weight.clamp(0.0, 1.0) * 1000.0) as u16;
    thousandths
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const KINDS: [&str; 3] = ["application/json", "application/x-ndjson", "text/event-stream"];

    fn liked(accept: &'static str) -> Option<&'static str> {
        let sent = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        preferred(&sent, &KINDS).map(|at| KINDS[at])
    }

    #[test]
    fn what_is_liked_best_is_taken() {
        for (accept, kind) in [
            ("*/*", "application/json"),
            ("application/*", "application/json"),
            ("application/json", "application/json"),
            ("text/event-stream", "text/event-stream"),
            ("text/html, text/*;q=0.5", "text/event-stream"),
            ("Application/X-NDJSON; charset=utf-8", "application/x-ndjson"),
            ("*/*;q=0.1, application/x-ndjson;q=0.9", "application/x-ndjson"),
            ("text/event-stream, application/json", "text/event-stream"),
            ("text/event-stream, */*", "text/event-stream"),
            ("application/json;q=0, */*", "application/x-ndjson"),
            ("*/*, application/json;Q=0", "application/x-ndjson"),
        ] {
            assert_eq!(liked(accept), Some(kind), "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &KINDS), Some(0));
    }

    #[test]
    fn what_is_not_liked_is_not_taken() {
        for accept in ["text/html", "application/json;q=0", "", "json", "*/*;q=x", "*/*;q=-1"] {
            assert_eq!(liked(accept), None, "{accept}");
        }
    }
}
