//! A bank over HTTP: `POST /v1/payouts {id, bankCode, accountNumber, holder, amount}` answers
//! `{status: SENT, PENDING or FAILED, code?}`, and so does `GET /v1/payouts/{id}`.

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
        Json::new("bank", setting, &settings.url, &settings.secret_key).map(Self)
    }

    /// Looks it up first: of what was asked before, only the bank knows the end.
    pub(crate) async fn pay(
        &self,
        id: PayoutId,
        amount: Money,
        account: &Account,
    ) -> Result<Paid, Error> {
        let (status, known) =
            self.0.call(Method::GET, &format!("/v1/payouts/{id}"), None, None).await?;
        if status != StatusCode::NOT_FOUND {
            return self.paid(status, &known);
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
            return Ok(Paid::Failed(code(&answer, status)));
        }
        self.paid(status, &answer)
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
