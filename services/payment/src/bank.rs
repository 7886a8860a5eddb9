//! Who pays money out to bank accounts for us.
//!
//! A bank carries a payout out once, however often it is asked under the same id, and is
//! asked by that id what has become of it.

mod http;
mod sandbox;

use base::{Error, Money};
use serde::Deserialize;

use self::http::Http;
use crate::{
    domain::payout::{Account, PayoutId},
    json::TIMEOUT_MS,
};

/// What became of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    Sent,
    /// Not decided yet.
    Pending,
    /// A definite no, with the bank's reason.
    Failed(String),
    /// It takes no such payout, and knows of none: definite unless an earlier request has been heard that it
    /// does not own up to yet.
    Refused(String),
}

/// The bank that is configured.
#[derive(Clone)]
pub(crate) enum Bank {
    /// Sends nothing.
    Sandbox,
    Http(Box<Http>),
}

/// Which bank, and how to reach it.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://bank.example.com`; empty: the sandbox, which sends nothing.
    pub(crate) url: String,
    /// What the bank knows the shop by.
    pub(crate) secret_key: String,
    /// How long an answer is waited for, in milliseconds.
    pub(crate) timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { url: String::new(), secret_key: String::new(), timeout_ms: TIMEOUT_MS }
    }
}

impl Bank {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        if settings.url.is_empty() {
            return Ok(Self::Sandbox);
        }
        Http::new(settings).map(Box::new).map(Self::Http)
    }

    /// Sends money, or hears what has become of that. An error leaves it open.
    pub(crate) async fn pay(
        &self,
        id: PayoutId,
        amount: Money,
        account: &Account,
    ) -> Result<Paid, Error> {
        match self {
            Self::Sandbox => Ok(sandbox::pay(account)),
            Self::Http(http) => http.pay(id, amount, account).await,
        }
    }
}
