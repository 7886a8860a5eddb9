//! Cookies: read, and written. All are for the server alone, and sent to it by its own pages alone.

use http::{HeaderMap, HeaderValue, header};

/// The member's token.
pub(crate) const SESSION: &str = "hansang_session";
/// A number that only this browser and we know: what forms are signed with.
pub(crate) const VISITOR: &str = "hansang_visitor";
/// What is in the cart.
pub(crate) const CART: &str = "hansang_cart";
/// The language that was chosen.
pub(crate) const LANG: &str = "hansang_lang";
/// What the next page says first.
pub(crate) const NOTICE: &str = "hansang_notice";

/// The value of a cookie.
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.trim(), value.trim())).find(|it| it.0 == name).map(|it| it.1)
}

/// A `Set-Cookie`, for so many seconds; 0 takes it back. Values are of our own making: letters, digits,
/// dots, hyphens and the like.
pub(crate) fn write(name: &str, value: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!(
        "{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
    ))
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; hansang_cart=x.2;b=3"));
        headers.append(header::COOKIE, HeaderValue::from_static("hansang_lang=en"));
        assert_eq!(read(&headers, CART), Some("x.2"));
        assert_eq!(read(&headers, LANG), Some("en"));
        assert_eq!(read(&headers, "cart"), None);
    }

    #[test]
    fn a_cookie_is_for_the_server_alone() {
        let cookie = write(SESSION, "t", 60, true).expect("a header");
        let expected = "hansang_session=t; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(cookie, expected);
        assert!(write(SESSION, "a\r\nb", 60, false).is_none());
    }
}
