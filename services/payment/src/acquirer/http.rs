//! An acquirer over HTTP, in the manner of Toss Payments' core API
//! (`/v1/payments/confirm`, `/v1/payments/orders/{orderId}`, `/v1/payments/{paymentKey}/cancel`):
//! basic authentication with the secret key, an `Idempotency-Key`, JSON both ways.

use std::time::Duration;

use base::{Error, id::Uuid};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Charge, Charged, Part, Refunded, Settings};
use crate::json::{Json, is_definite};

#[derive(Clone)]
pub(crate) struct Http(Json);

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let setting = "service.payment.acquirer.url";
        let timeout = Duration::from_millis(settings.timeout_ms);
        Json::new("acquirer", setting, &settings.url, &settings.secret_key, timeout).map(Self)
    }

    pub(crate) async fn charge(&self, charge: &Charge) -> Result<Charged, Error> {
        let body = json!({
            "paymentKey": charge.token,
            "orderId": charge.order.to_string(),
            "amount": charge.amount.minor(),
        });
        let key = charge.key.to_string();
        let (status, answer) =
            self.0.call(Method::POST, "/v1/payments/confirm", Some(&key), Some(&body)).await?;
        match (status, answer["paymentKey"].as_str()) {
            (StatusCode::OK, Some(reference)) => Ok(Charged::Yes(reference.to_owned())),
            (status, _) if status.is_client_error() && is_definite(status) => {
                tracing::info!(%status, code = %answer["code"], "the acquirer declined a card");
                Ok(Charged::Declined)
            }
            (status, _) => Err(self.0.unclear(status)),
        }
    }

    pub(crate) async fn look_up(&self, order: Uuid) -> Result<Option<String>, Error> {
        Ok(match self.known(order).await? {
            Known::Charged { reference, .. } => Some(reference),
            Known::Cancelled | Known::Nothing => None,
        })
    }

    /// Cancels what is left of a charge, parts that are still on their way included.
    pub(crate) async fn refund(&self, order: Uuid) -> Result<Refunded, Error> {
        let body = json!({ "cancelReason": "order cancelled" });
        self.cancel(order, &format!("cancel-{order}"), &body, |_| false).await
    }

    /// Cancels a part of a charge. Its reason names it, so that it is known when the key is not any more.
    pub(crate) async fn refund_part(&self, order: Uuid, part: &Part) -> Result<Refunded, Error> {
        let name = format!("refund {}", part.id);
        let body = json!({ "cancelReason": name, "cancelAmount": part.amount.minor() });
        let is_this = |reason: &str| reason == name;
        self.cancel(order, &format!("cancel-{}", part.id), &body, is_this).await
    }

    /// `is_done` says so by the reason of a part that was cancelled.
    async fn cancel(
        &self,
        order: Uuid,
        key: &str,
        body: &Value,
        is_done: impl Fn(&str) -> bool,
    ) -> Result<Refunded, Error> {
        let reference = match self.known(order).await? {
            Known::Charged { parts, .. } if parts.iter().any(|part| is_done(part)) => {
                return Ok(Refunded::Done);
            }
            Known::Charged { reference, .. } => reference,
            Known::Cancelled => return Ok(Refunded::Done),
            // It said yes before: who does not know of it now may know later.
            Known::Nothing => return Err(self.0.unclear(StatusCode::NOT_FOUND)),
        };
        let path = format!("/v1/payments/{reference}/cancel");
        let (status, answer) = self.0.call(Method::POST, &path, Some(key), Some(body)).await?;
        if status == StatusCode::OK {
            return Ok(Refunded::Done);
        }
        if !is_definite(status) || status.is_success() {
            return Err(self.0.unclear(status));
        }
        // It may refuse since an earlier attempt has done it.
        Ok(match self.known(order).await? {
            Known::Cancelled => Refunded::Done,
            Known::Charged { parts, .. } if parts.iter().any(|part| is_done(part)) => {
                Refunded::Done
            }
            Known::Charged { .. } | Known::Nothing => {
                let code =
                    answer["code"].as_str().map_or_else(|| status.to_string(), str::to_owned);
                Refunded::Refused(code)
            }
        })
    }

    async fn known(&self, order: Uuid) -> Result<Known, Error> {
        let path = format!("/v1/payments/orders/{order}");
        let (status, known) = self.0.call(Method::GET, &path, None, None).await?;
        match (status, known["paymentKey"].as_str(), known["status"].as_str()) {
            // Never charged; with a status it never will be.
            (StatusCode::NOT_FOUND, ..)
            | (StatusCode::OK, Some(_), Some("ABORTED" | "EXPIRED")) => Ok(Known::Nothing),
            (StatusCode::OK, Some(_), Some("CANCELED")) => Ok(Known::Cancelled),
            (StatusCode::OK, Some(reference), Some("DONE" | "PARTIAL_CANCELED")) => {
                let cancels = known["cancels"].as_array().into_iter().flatten();
                let reasons = cancels.filter_map(|it| it["cancelReason"].as_str());
                let parts = reasons.map(str::to_owned).collect();
                Ok(Known::Charged { reference: reference.to_owned(), parts })
            }
            (status, ..) => Err(self.0.unclear(status)),
        }
    }
}

/// What the acquirer knows of an order.
enum Known {
    /// Charged, under this reference, and not all of it cancelled: the reasons of what was.
    Charged {
        reference: String,
        parts: Vec<String>,
    },
    Cancelled,
    Nothing,
}
