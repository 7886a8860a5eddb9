//! A bank over HTTP: `POST /v1/payouts {id, bankCode, accountNumber, holder, amount}` answers
//! `{status: SENT, PENDING or FAILED, code?}`, and so does `GET /v1/payouts/{id}`.

use std::time::Duration;

use base::{Error, Money};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Paid, Settings};
use crate::{
    domain::payout::{Account, PayoutId},
    json::{Json, is_definite},
};

#[derive(Clone)]
pub(crate) struct Http(Json);

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let setting = "service.payment.bank.url";
        let timeout = Duration::from_millis(settings.timeout_ms);
        Json::new("bank", setting, &settings.url, &settings.secret_key, timeout).map(Self)
    }

    /// Looks it up first: of what was asked before, only the bank knows the end. The same when it refuses to
    /// carry it out: that may be since it has done so.
    pub(crate) async fn pay(
        &self,
        id: PayoutId,
        amount: Money,
        account: &Account,
    ) -> Result<Paid, Error> {
        if let Some(known) = self.known(id).await? {
            return Ok(known);
        }
        let body = json!({
            "id": id.to_string(),
            "bankCode": account.bank_code,
            "accountNumber": account.number,
            "holder": account.holder,
            "amount": amount.minor(),
        });
        let key = id.to_string();
        let (status, answer) =
            self.0.call(Method::POST, "/v1/payouts", Some(&key), Some(&body)).await?;
        if status.is_client_error() && is_definite(status) {
            let refused = Paid::Refused(code(&answer, status));
            return Ok(self.known(id).await?.unwrap_or(refused));
        }
        self.paid(status, &answer)
    }

    /// What has become of a payout that the bank knows.
    async fn known(&self, id: PayoutId) -> Result<Option<Paid>, Error> {
        let path = format!("/v1/payouts/{id}");
        let (status, known) = self.0.call(Method::GET, &path, None, None).await?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.paid(status, &known).map(Some)
    }

    fn paid(&self, status: StatusCode, answer: &Value) -> Result<Paid, Error> {
        match answer["status"].as_str().filter(|_| status.is_success()) {
            Some("SENT") => Ok(Paid::Sent),
            Some("PENDING") => Ok(Paid::Pending),
            Some("FAILED") => Ok(Paid::Failed(code(answer, status))),
            _ => Err(self.0.unclear(status)),
        }
    }
}

/// Why, in the bank's word.
fn code(answer: &Value, status: StatusCode) -> String {
    answer["code"]
        .as_str()
        .map_or_else(|| status.to_string(), |code| code.chars().take(100).collect())
}
