//! Entity tags in preconditions, as RFC 9110 has them (8.8.3 and 13.1). A gRPC
//! client may send a tag without its quotes.

use crate::{Error, error::Kind};

/// Whether an `If-Match` names this tag, or any. The comparison is the strong one: a weak tag names
/// none (13.1.1).
pub fn matches(if_match: &str, tag: &str) -> bool {
    let sent = if_match.trim();
    sent == "*" || sent == tag || tags(sent).any(|(weak, sent)| !weak && sent == tag)
}

/// Whether an `If-None-Match` names this tag, or any. The comparison is the weak one: a weak tag is as
/// good (13.1.2).
pub fn matches_weakly(if_none_match: &str, tag: &str) -> bool {
    if_none_match.trim() == "*" || tags(if_none_match).any(|(_, sent)| sent == tag)
}

/// What a call gets that was made for another version of a resource.
pub fn stale(current: &str) -> Error {
    let detail = format!("the resource has changed: its etag is {current}");
    Error::new(Kind::Conflict, "STALE_ETAG", detail)
}

/// The tags of a list, and whether each is weak. No tag has a quote in it: every other piece between
/// quotes is one.
fn tags(list: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut pieces = list.split('"');
    std::iter::from_fn(move || {
        let (before, tag) = (pieces.next()?, pieces.next()?);
        Some((before.trim_end().ends_with("W/"), tag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_takes_a_list_and_no_weak_tag() {
        for (sent, matched) in [
            ("\"v1\"", true),
            ("v1", true),
            ("*", true),
            (" * ", true),
            ("\"v0\", \"v1\"", true),
            ("\"v0\",\"v1\"", true),
            ("W/\"v1\"", false),
            ("W/\"v1\", \"v1\"", true),
            ("\"v0\", W/\"v1\"", false),
            ("\"v0, v1\"", false),
            ("v0, v1", false),
            ("\"\"", false),
            ("", false),
        ] {
            assert_eq!(matches(sent, "v1"), matched, "{sent}");
        }
    }

    #[test]
    fn if_none_match_takes_weak_tags_too() {
        for (sent, matched) in [
            ("\"v1\"", true),
            ("W/\"v1\"", true),
            ("\"v0\", W/\"v1\"", true),
            ("*", true),
            ("v1", false),
            ("\"v0\"", false),
        ] {
            assert_eq!(matches_weakly(sent, "v1"), matched, "{sent}");
        }
    }
}
