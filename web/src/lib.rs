//! The shop's face: its pages, rendered here, for members, sellers and admins. A part beside the
//! gateway, on the same listener.
//!
//! 1. `guard` stands around all pages: it finds out who visits, refuses what another site's page
//!    sends, and gives each response its policy and cookies.
//! 2. `visit` is what a page knows of whoever visits; through `api` it calls the services as that
//!    member, or as nobody, through the gateway and by its policies, as any client does.
//! 3. One module per part of the shop has the pages, each with a `router`; what the services refuse
//!    becomes words in `failure`, beside the field at fault where there is one.
//! 4. `layout`, `form` and `view` are what pages are made of; `paths` is where they are.
//!
//! Decides nothing that the services decide: what may be done with an order is what My Page says.
//! Keeps nothing: session and cart are cookies. Every page works without script; `assets/live.js`
//! shows changes as they happen. Loads nothing from elsewhere.

mod account;
mod admin;
mod api;
mod assets;
mod cart;
mod checkout;
mod console;
mod cookie;
mod failure;
mod form;
mod guard;
mod lang;
mod layout;
mod my;
mod paths;
mod pictures;
mod products;
mod seller;
mod view;
mod visit;

use std::{path::PathBuf, sync::Arc};

use axum::{Router, middleware};
use base::Error;
use identity::auth::Verifier;
use serde::Deserialize;
use settings::Settings;

pub use self::api::Api;

/// What the part is called, among the parts of a deployment and in settings.
pub const NAME: &str = "web";

/// What can be set under `[service.web]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Own {
    /// The account that bank transfers go to, as members read it.
    account: String,
    /// Offers the sandbox's cards by name. Not said: only where this process is told of no acquirer
    /// that charges real ones.
    sandbox: Option<bool>,
    /// The directory that pictures of products are kept in, the same for all replicas; empty: none are.
    pictures: PathBuf,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            account: "한상은행 100-2000-3000 (주)한상".to_owned(),
            sandbox: None,
            pictures: PathBuf::new(),
        }
    }
}

/// What is read of `[service.payment]`, which is payment's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Payment {
    acquirer: Acquirer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Acquirer {
    url: String,
}

/// Whether the sandbox's cards are offered.
fn offers_sandbox(own: &Own, settings: &Settings) -> Result<bool, Error> {
    let payment: Payment = settings.own("payment")?;
    Ok(own.sandbox.unwrap_or(payment.acquirer.url.is_empty()))
}

/// The pages, ready to be served beside a gateway.
pub struct Web {
    verifier: Verifier,
    /// The account that bank transfers go to.
    account: String,
    /// The sandbox's cards are offered.
    sandbox: bool,
    pictures: pictures::Pictures,
    sweeps: pictures::unused::Sweeps,
    parked: admin::Consumers,
    /// The listener speaks TLS: cookies are for it alone.
    tls: bool,
    /// Proxies stand in front: whether they were called by TLS is what they say.
    proxied: bool,
}

impl Web {
    /// Reads what can be set; these are the services. Needs a tokio runtime.
    pub fn new(
        settings: &Settings,
        services: impl IntoIterator<Item = &'static str>,
    ) -> Result<Self, Error> {
        let own: Own = settings.own(NAME)?;
        Ok(Self {
            verifier: Verifier::new(&settings.auth)?,
            pictures: pictures::Pictures::open(&own.pictures)?,
            sweeps: pictures::unused::Sweeps::default(),
            parked: admin::Consumers::new(settings, services)?,
            sandbox: offers_sandbox(&own, settings)?,
            account: own.account,
            tls: settings.http.tls.cert_path.is_some(),
            proxied: settings.http.proxies > 0,
        })
    }

    /// The pages; `api` is the gateway that they are beside.
    pub fn pages(self, api: Api) -> Router {
        let web = Arc::new(self);
        let pictures = pictures::router(&web);
        Router::new()
            .merge(products::router())
            .merge(account::router())
            .merge(cart::router())
            .merge(checkout::router())
            .merge(my::router())
            .merge(seller::router())
            .merge(admin::router())
            .merge(guard::router())
            .layer(middleware::from_fn_with_state((web, api), guard::around))
            .merge(assets::router())
            .merge(pictures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_is_offered_where_no_acquirer_charges_real_cards_or_somebody_says_so() {
        let url = ("HANSANG__SERVICE__PAYMENT__ACQUIRER__URL", "https://api.tosspayments.com");
        let said = |value| ("HANSANG__SERVICE__WEB__SANDBOX", value);
        for (env, offered) in [
            (vec![], true),
            (vec![url], false),
            (vec![url, said("true")], true),
            (vec![said("false")], false),
        ] {
            let named = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let settings = Settings::load(None, named, []).expect("settings");
            let own = settings.own(NAME).expect("a section");
            assert_eq!(offers_sandbox(&own, &settings).expect("settings"), offered, "{env:?}");
        }
    }
}
