//! Who pays money out to bank accounts for us.
//!
//! A bank carries a payout out once, however often it is asked under the same id, and is
//! asked by that id what has become of it.

mod http;
mod sandbox;

use base::{Error, Money};
use serde::Deserialize;

use self::http::Http;
use crate::domain::payout::{Account, PayoutId};

/// What became of a payout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Paid {
    Sent,
    /// Not decided yet.
    Pending,
    /// A definite no, with the bank's reason.
    Failed(String),
}

/// The bank that is configured.
#[derive(Clone)]
pub(crate) enum Bank {
    /// Sends nothing.
    Sandbox,
    Http(Box<Http>),
}

/// Which bank, and how to reach it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// `https://bank.example.com`; empty: the sandbox, which sends nothing.
    pub(crate) url: String,
    /// What the bank knows the shop by.
    pub(crate) secret_key: String,
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
