//! Who charges cards for us.
//!
//! An acquirer charges once, however often it is asked under the same key, and is asked
//! by the order (a top-up counts as one) what has become of a charge.

mod http;
mod sandbox;

use base::{Error, Money, fail_point, id::Uuid};
use serde::Deserialize;

use self::http::Http;
use crate::json::TIMEOUT_MS;

/// A charge to be made.
pub(crate) struct Charge {
    /// The idempotency key: the payment's id, or the top-up's.
    pub(crate) key: Uuid,
    /// By this it is looked up, and refunded: the order's id, or the top-up's.
    pub(crate) order: Uuid,
    pub(crate) amount: Money,
    /// What the acquirer knows the card by. Never stored.
    pub(crate) token: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Charged {
    /// The acquirer's reference.
    Yes(String),
    /// It says no. Whether it stays with that a look-up tells later.
    Declined,
}

/// A part of a charge that is to be given back.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The refund's id: under it the acquirer gives it back once, and knows it.
    pub(crate) id: Uuid,
    pub(crate) amount: Money,
}

/// What became of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refunded {
    Done,
    /// A definite no, with the acquirer's reason.
    Refused(String),
}

/// The acquirer that is configured.
#[derive(Clone)]
pub(crate) enum Acquirer {
    /// Charges nobody.
    Sandbox,
    Http(Box<Http>),
}

/// Which acquirer, and how to reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://api.tosspayments.com`; empty: the sandbox, which charges nobody.
    pub(crate) url: String,
    /// The merchant's secret.
    pub(crate) secret_key: String,
    /// How long an answer is waited for, in milliseconds.
    pub(crate) timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: String::new(), secret_key: String::new(), timeout_ms: TIMEOUT_MS }
    }
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

    /// The reference of what was charged for an order and not refunded, if anything was.
    pub(crate) async fn look_up(&self, order: Uuid) -> Result<Option<String>, Error> {
        match self {
            Self::Sandbox => Ok(None),
            Self::Http(http) => http.look_up(order).await,
        }
    }

    /// Gives back a part of what was charged for an order. An error leaves it open.
    pub(crate) async fn refund_part(&self, order: Uuid, part: &Part) -> Result<Refunded, Error> {
        match self {
            Self::Sandbox => Ok(Refunded::Done),
            Self::Http(http) => http.refund_part(order, part).await,
        }
    }

    /// Gives back what is left of what was charged for an order. An error leaves it open.
    pub(crate) async fn refund(&self, order: Uuid) -> Result<Refunded, Error> {
        match self {
            Self::Sandbox => Ok(Refunded::Done),
            Self::Http(http) => http.refund(order).await,
        }
    }

    /// Whether its no may turn out to be a yes later: then it is looked up once more.
    pub(crate) fn may_change_its_mind(&self) -> bool {
        matches!(self, Self::Http(_))
    }
}
