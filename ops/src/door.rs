//! Who may look. An admin by their token, always. Without a token, where the deployment
//! was told to be open: whoever asks from this machine, for this machine, and not
//! through somebody else. The address that a connection comes from is not enough: a
//! proxy on this machine has it, and so has a browser that a page elsewhere talked
//! into asking.

use std::net::SocketAddr;

use base::{Error, error::Kind};
use http::{HeaderMap, HeaderValue, header, request::Parts, uri::Authority};
use identity::auth::{Caller, Role, Verifier};

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Viewer {
    /// May see orders as well.
    Admin,
    /// Whoever is on this machine.
    Local,
}

/// What a proxy adds.
const FORWARDED: [&str; 5] =
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Lets somebody in, or says why not.
pub(super) fn let_in(
    open: bool,
    verifier: &Verifier,
    remote: SocketAddr,
    parts: &Parts,
) -> Result<Viewer, Error> {
    let unauthenticated = |why| Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", why);
    let sent = parts.headers.get(header::AUTHORIZATION).map(HeaderValue::to_str);
    let sent = sent.transpose().map_err(|_| unauthenticated("not a token"))?;
    match verifier.caller(sent)? {
        Caller::Anonymous if open && is_local(remote, parts) => Ok(Viewer::Local),
        Caller::Anonymous => Err(unauthenticated("sign in as an admin first")),
        Caller::Member { roles, .. } if roles.contains(&Role::Admin) => Ok(Viewer::Admin),
        _ => Err(Error::new(Kind::Forbidden, "ROLE_REQUIRED", "this is for admins")),
    }
}

fn is_local(remote: SocketAddr, parts: &Parts) -> bool {
    // A page of another origin says so when its script asks; our own does not when it reads.
    is_at_this_machine(remote, parts) && !parts.headers.contains_key(header::ORIGIN)
}

/// Whoever asks, asks from this machine, for this machine, and not through somebody else.
pub(super) fn is_at_this_machine(remote: SocketAddr, parts: &Parts) -> bool {
    // An IPv4 address may come as an IPv6 one.
    let from_here = remote.ip().to_canonical().is_loopback();
    let through_nobody = !FORWARDED.iter().any(|name| parts.headers.contains_key(*name));
    from_here && through_nobody && asks_for_loopback(&parts.headers, parts)
}

/// Asks by an address of this machine, not by a name that somebody made to point here.
fn asks_for_loopback(sent: &HeaderMap, parts: &Parts) -> bool {
    let host = sent.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    let Some(authority) = parts.uri.authority().cloned().or(host) else { return false };
    is_loopback(&authority)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::Request;
    use settings::AuthSettings;

    use super::*;

    fn looks(open: bool, from: &str, headers: &[(&str, &str)]) -> Result<Viewer, u16> {
        let mut request = Request::get("/ops");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let from: IpAddr = from.parse().expect("an address");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let verifier = Verifier::new(&AuthSettings::default()).expect("no key is none");
        let let_in = let_in(open, &verifier, SocketAddr::new(from, 1), &parts);
        let_in.map_err(|error| if error.kind() == Kind::Forbidden { 403 } else { 401 })
    }

    #[test]
    fn an_open_house_is_open_to_this_machine_by_its_own_names() {
        for host in ["localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"] {
            assert_eq!(looks(true, "127.0.0.1", &[("host", host)]), Ok(Viewer::Local), "{host}");
            assert_eq!(looks(false, "127.0.0.1", &[("host", host)]), Err(401), "{host}");
        }
        assert_eq!(looks(true, "::ffff:127.0.0.1", &[("host", "localhost")]), Ok(Viewer::Local));
    }

    #[test]
    fn what_comes_through_somebody_else_is_not_of_this_machine() {
        let host = ("host", "localhost:8080");
        for name in FORWARDED {
            assert_eq!(looks(true, "127.0.0.1", &[host, (name, "127.0.0.1")]), Err(401), "{name}");
        }
        let page = ("origin", "https://elsewhere.example");
        assert_eq!(looks(true, "127.0.0.1", &[host, page]), Err(401), "a page elsewhere");
        assert_eq!(looks(true, "192.0.2.7", &[host]), Err(401), "another machine");
        for host in ["elsewhere.example", "127.0.0.1.elsewhere.example", "10.0.0.1:8080"] {
            assert_eq!(looks(true, "127.0.0.1", &[("host", host)]), Err(401), "{host}");
        }
        assert_eq!(looks(true, "127.0.0.1", &[]), Err(401), "for nobody");
    }

    #[test]
    fn a_wrong_token_is_worse_than_none() {
        let sent = [("host", "localhost"), ("authorization", "Bearer x")];
        assert_eq!(looks(true, "127.0.0.1", &sent), Err(401));
    }
}
