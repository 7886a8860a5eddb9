//! `/ops`: the deployment at a glance, where no Grafana is. Which services are well, what
//! is asked of them and how long that takes, open breakers, consumers and how far
//! they are behind, sagas under way, what is parked, recent traces; and, to an
//! admin, how an order came along.
//!
//! 1. `door` lets in admins by their token; where `http.ops` is open, whoever is on
//!    this machine. An order takes an admin's token in any case.
//! 2. `deployment` asks every process that the gateway's `peers` lead to, by what each
//!    shows anyway: `/metrics` and health. One that does not answer is shown as such.
//! 3. `figures` makes of that what the page shows, `page` the HTML, by `html`, which
//!    writes nothing unescaped but literals.
//!
//! Changes nothing, keeps nothing but the last look, knows no figure that `/metrics`
//! does not have, and loads nothing from elsewhere. Rates need two looks: the page
//! makes them from its refreshes. A token that its member's withdrawal made void
//! opens the figures until it expires, as gateways do not hear of that; no order.

mod deployment;
mod door;
mod figures;
mod html;
mod order;
mod page;
#[cfg(test)]
mod readings;

use base::Error;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use http_body_util::Full;
use identity::auth::Verifier;
use settings::Settings;
use tonic::{Code, Status};
use uuid::Uuid;

pub(crate) use self::deployment::Deployment;
use self::{door::Viewer, figures::Figures};
use crate::{Gateway, accept, problem};

/// What `/ops` stands on.
pub(crate) struct Ops {
    deployment: Deployment,
    open: bool,
}

impl Ops {
    /// For a gateway that calls these services.
    pub(crate) fn new<'a>(settings: &Settings, services: impl Iterator<Item = &'a str>) -> Self {
        let open = settings.http.ops == settings::Ops::Open;
        Self { deployment: Deployment::new(services, &settings.peers), open }
    }

    fn let_in(&self, verifier: &Verifier, parts: &Parts) -> Result<Viewer, Error> {
        door::let_in(self.open, verifier, parts)
    }
}

impl Gateway {
    /// The answer for `/ops`; nothing for other paths.
    pub(crate) async fn ops(&self, parts: &Parts) -> Option<Response<Full<Bytes>>> {
        if parts.uri.path() != "/ops" || !matches!(parts.method, Method::GET | Method::HEAD) {
            return None;
        }
        let viewer = match self.ops.let_in(&self.verifier, parts) {
            Ok(viewer) => viewer,
            Err(error) => return Some(refuse(&error.into(), parts)),
        };
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let wanted = pairs.find(|(key, _)| key == "order").map(|(_, value)| value.into_owned());
        let order = async {
            match wanted.as_deref().map(str::trim) {
                None | Some("") => None,
                Some(id) => Some((id.to_owned(), order::history(self, parts, viewer, id).await)),
            }
        };
        let (seen, order) = tokio::join!(self.ops.deployment.look(), order);
        let figures = Figures::of(&seen);
        Some(answer(StatusCode::OK, |nonce| page::page(&figures, viewer, order.as_ref(), nonce)))
    }
}

/// A browser is asked to sign in; others get the problem.
fn refuse(status: &Status, parts: &Parts) -> Response<Full<Bytes>> {
    let mut response = problem::response(status, "/ops", None);
    let kinds = ["application/problem+json", "text/html"];
    let signs_in = status.code() == Code::Unauthenticated
        && accept::preferred(&parts.headers, &kinds) == Some(1);
    if signs_in {
        let page = answer(response.status(), page::sign_in);
        let bearer = response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response = page;
        response.headers_mut().extend(bearer.map(|bearer| (header::WWW_AUTHENTICATE, bearer)));
    }
    no_store(&mut response);
    response
}

/// A page that runs its own script and style, and talks to this gateway alone.
fn answer(status: StatusCode, page: impl FnOnce(&str) -> String) -> Response<Full<Bytes>> {
    let nonce = Uuid::from_u128(rand::random()).simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut response = Response::new(Full::from(page(&nonce)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Letters and digits: it is a header's value.
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    no_store(&mut response);
    response
}

fn no_store(response: &mut Response<Full<Bytes>>) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
