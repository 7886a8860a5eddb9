//! Who charges cards for us.
//!
//! An acquirer charges a payment once, however often it is asked under the same
//! key, and forgets a charge it never made without complaint.

mod http;
mod sandbox;

use base::{Error, Money, fail_point};
use serde::Deserialize;

use self::http::Http;
use crate::domain::{OrderId, PaymentId};

/// A charge to be made.
pub(crate) struct Charge {
    /// The idempotency key.
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) amount: Money,
    /// What the acquirer knows the card by. Never stored.
    pub(crate) token: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Charged {
    /// The acquirer's reference.
    Yes(String),
    /// A definite no.
    Declined,
}

/// The acquirer that is configured.
#[derive(Clone)]
pub(crate) enum Acquirer {
    /// Charges nobody.
    Sandbox,
    Http(Box<Http>),
}

/// Which acquirer, and how to reach it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `http://127.0.0.1:9000`; empty: the sandbox, which charges nobody.
    pub(crate) url: String,
    /// The merchant's secret.
    pub(crate) secret_key: String,
}

impl Acquirer {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        if settings.url.is_empty() {
            return Ok(Self::Sandbox);
        }
        Http::new(settings).map(Box::new).map(Self::Http)
    }

    /// Charges a card. An error leaves it open whether it did.
    pub(crate) async fn charge(&self, charge: &Charge) -> Result<Charged, Error> {
        fail_point::asking("acquirer");
        let charged = match self {
            Self::Sandbox => Ok(sandbox::charge(charge)),
            Self::Http(http) => http.charge(charge).await,
        };
        fail_point::answered("acquirer");
        charged
    }

    /// Gives back what was charged for an order, if anything was. An error leaves it open.
    pub(crate) async fn refund(&self, order: OrderId) -> Result<(), Error> {
        match self {
            Self::Sandbox => Ok(()),
            Self::Http(http) => http.refund(order).await,
        }
    }
}
