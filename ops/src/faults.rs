//! Breaking things on purpose, to see what the deployment makes of it: with `hansang up --split` on this
//! machine alone. Does nothing to a process itself: it asks the one that keeps them all, which takes orders
//! at a socket in its data directory.

use std::{net::SocketAddr, path::Path, time::Duration};

use base::{Error, error::Kind};
use http::{HeaderValue, header, request::Parts};
use maud::{Markup, html};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::timeout,
};

use super::door;

/// How long it may take to be done.
const WITHIN: Duration = Duration::from_secs(5);
/// What can be done to a service: its name, and what a button says.
const FAULTS: [(&str, &str); 5] = [
    ("kill", "Kill"),
    ("restart", "Restart"),
    ("freeze", "Freeze"),
    ("thaw", "Thaw"),
    ("cut", "Cut its database"),
];

/// Lets in who is at this machine: nobody who comes through somebody else, and no other site's page.
pub(super) fn let_in(remote: SocketAddr, parts: &Parts) -> Result<(), Error> {
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let host = said("host").unwrap_or_default();
    let own_page = match parts.headers.get(header::ORIGIN).map(HeaderValue::to_str) {
        None => true,
        Some(Ok(origin)) => origin.split_once("://").is_some_and(|(_, from)| from == host),
        Some(Err(_)) => false,
    };
    // A browser says whose form it is, also where the form's page keeps its own address to itself.
    let own = said("sec-fetch-site").map_or(own_page, |site| site == "same-origin");
    if door::is_at_this_machine(remote, parts) && own {
        Ok(())
    } else {
        Err(Error::new(Kind::Forbidden, "FOREIGN", "this is for whoever is at this machine"))
    }
}

/// Has it done.
pub(super) async fn ask(socket: &Path, fault: &str, service: &str) -> Result<(), Error> {
    if !FAULTS.iter().any(|(known, _)| *known == fault) {
        return Err(Error::violation("fault", "must be kill, restart, freeze, thaw or cut"));
    }
    if !service.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(Error::violation("service", "must be a service"));
    }
    let away = |error: &dyn std::fmt::Display| {
        Error::unavailable("KEEPER_AWAY", format!("`hansang up` does not take orders: {error}"))
    };
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(format!("{fault} {service}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(WITHIN, asked).await.map_err(|late| away(&late))?;
    match answer.map_err(|error| away(&error))?.trim() {
        "ok" => Ok(()),
        why => Err(Error::new(Kind::Conflict, "NOT_DONE", why.to_owned())),
    }
}

/// The switches.
pub(super) fn switches<'a>(services: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        section #faults .card {
            h2 { "Break something" }
            table {
                thead { tr { th scope="col" { "service" } th scope="col" { "fault" } } }
                tbody {
                    @for service in services {
                        tr {
                            td { (service) }
                            td {
                                form.fault method="post" action="/ops/faults" {
                                    input type="hidden" name="service" value=(service);
                                    @for (fault, label) in FAULTS {
                                        button name="fault" value=(fault)
                                            aria-label=(format!("{label}: {service}")) { (label) }
                                        " "
                                    }
                                }
                            }
                        }
                    }
                }
            }
            p.small {
                output #broken {}
                " Killed and restarted processes come back by themselves; a frozen one has to be thawed."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn nobody_elsewhere_breaks_anything() {
        let asks = |from: &str, headers: &[(&str, &str)]| {
            let mut request = Request::post("/ops/faults");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            let from = from.parse().expect("an address");
            let_in(SocketAddr::new(from, 1), &parts).is_ok()
        };
        let host = ("host", "localhost:8080");
        assert!(asks("127.0.0.1", &[host]));
        assert!(asks("127.0.0.1", &[host, ("origin", "http://localhost:8080")]));
        let form = [host, ("origin", "null"), ("sec-fetch-site", "same-origin")];
        assert!(asks("127.0.0.1", &form), "a form of a page that sends no referrer");
        assert!(!asks("192.0.2.1", &[host]));
        for header in [
            ("origin", "https://elsewhere.example"),
            ("origin", "http://localhost:9000"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("x-forwarded-for", "127.0.0.1"),
        ] {
            assert!(!asks("127.0.0.1", &[host, header]), "{header:?}");
        }
        assert!(!asks("127.0.0.1", &[("host", "elsewhere.example")]));
    }
}
