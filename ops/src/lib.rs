//! `/ops`: the deployment at a glance, where no Grafana is. Which services are healthy, what
//! is asked of them and how long that takes, open breakers, consumers and how far
//! they are behind, orders in progress, what is parked, recent traces; and, to an
//! admin, how an order came along.
//!
//! 1. `door` lets in admins by their token; where `http.ops` is open, whoever is on
//!    this machine. An order takes an admin's token in any case.
//! 2. `deployment` asks every process that the gateway's `peers` lead to, by what each
//!    shows anyway: `/metrics` and health. One that does not answer is shown as such.
//! 3. `figures` makes of that what the page shows, `page` the HTML.
//!
//! With `hansang up --split` on this machine alone, it has switches to break something (`faults`), and
//! `past` draws what comes of it.
//!
//! Else it changes nothing, keeps nothing but the last minutes' looks, knows no figure that `/metrics`
//! does not have, and loads nothing from elsewhere. Rates need two looks: the page
//! makes them from its refreshes. A token that was revoked opens the figures until it
//! expires, as gateways do not hear of that; no order.

mod deployment;
mod door;
mod faults;
mod figures;
mod order;
mod page;
mod past;
#[cfg(test)]
mod readings;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Form, Router,
    extract::{ConnectInfo, Query, State},
    response::{IntoResponse as _, Redirect, Response},
    routing,
};
use base::Error;
use http::{HeaderValue, StatusCode, header, request::Parts};
use identity::auth::Verifier;
use maud::Markup;
use settings::Settings;
use tonic::Status;
use uuid::Uuid;

pub use self::order::Api;
use self::{deployment::Deployment, figures::Figures, past::Past};

/// What the page stands on.
pub struct Ops {
    deployment: Deployment,
    verifier: Verifier,
    /// Whoever is on this machine may look.
    open: bool,
    /// Where to ask for faults, if whoever is on this machine may.
    faults: Option<PathBuf>,
    past: Past,
}

impl Ops {
    /// For a gateway that calls these services.
    pub fn new<'a>(
        settings: &Settings,
        services: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        Ok(Self {
            deployment: Deployment::new(services.into_iter(), &settings.peers)?,
            verifier: Verifier::new(&settings.auth)?,
            open: settings.http.ops == settings::Ops::Open,
            faults: Some(&settings.http.ops_faults)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            past: Past::default(),
        })
    }

    /// The page; `api` is the gateway that it is beside. A request that is refused leaves its
    /// [`Status`] in the response's extensions.
    pub fn pages<A: Api>(self, api: A) -> Router {
        Router::new()
            .route("/ops", routing::get(show::<A>))
            .route("/ops/faults", routing::post(break_something::<A>))
            .with_state((Arc::new(self), api))
    }
}

async fn show<A: Api>(
    State((ops, api)): State<(Arc<Ops>, A)>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    Query(asked): Query<Vec<(String, String)>>,
    parts: Parts,
) -> Response {
    let viewer = match door::let_in(ops.open, &ops.verifier, remote, &parts) {
        Ok(viewer) => viewer,
        Err(error) => return refuse(error.into(), &parts),
    };
    let order = async {
        let wanted = asked.iter().find(|(key, _)| key == "order").map(|(_, value)| value.trim());
        match wanted {
            None | Some("") => None,
            Some(id) => Some((id.to_owned(), order::history(&api, &parts, viewer, id).await)),
        }
    };
    let (seen, order) = tokio::join!(ops.deployment.look(), order);
    let figures = Figures::of(&seen);
    let more = page::More { past: ops.past.note(&figures), faults: ops.faults.is_some() };
    answer(StatusCode::OK, |nonce| page::page(&figures, viewer, order.as_ref(), &more, nonce))
}

async fn break_something<A: Api>(
    State((ops, _)): State<(Arc<Ops>, A)>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    parts: Parts,
    Form(asked): Form<Vec<(String, String)>>,
) -> Response {
    let said = |name: &str| asked.iter().find(|(key, _)| key == name).map_or("", |(_, it)| it);
    let done = async {
        let Some(socket) = ops.faults.as_ref().filter(|_| ops.open) else {
            return Err(base::error::not_found());
        };
        faults::let_in(remote, &parts)?;
        faults::ask(socket, said("fault"), said("service")).await
    };
    match done.await {
        Ok(()) => Redirect::to("/ops").into_response(),
        Err(error) => refuse(error.into(), &parts),
    }
}

/// A browser is asked to sign in; others get the problem.
fn refuse(status: Status, parts: &Parts) -> Response {
    let accepts = parts.headers.get_all(header::ACCEPT).iter();
    let mut accepts = accepts.filter_map(|value| value.to_str().ok());
    let browser = accepts.any(|value| value.contains("text/html"));
    let mut response = if browser && status.code() == tonic::Code::Unauthenticated {
        let mut page = answer(StatusCode::UNAUTHORIZED, page::sign_in);
        let bearer = HeaderValue::from_static("bearer");
        page.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
        page
    } else {
        let mut response = Response::default();
        response.extensions_mut().insert(status);
        response
    };
    no_store(&mut response);
    response
}

/// A page that runs its own script and style, and talks to this gateway alone.
fn answer(status: StatusCode, page: impl FnOnce(&str) -> Markup) -> Response {
    let nonce = Uuid::from_u128(rand::random()).simple().to_string();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let mut response = (status, page(&nonce).into_string()).into_response();
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

fn no_store(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
