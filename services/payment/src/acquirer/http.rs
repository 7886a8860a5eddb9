//! An acquirer over HTTP, in the manner of Toss Payments' core API
//! (`/v1/payments/confirm`, `/v1/payments/orders/{orderId}`, `/v1/payments/{paymentKey}/cancel`):
//! basic authentication with the secret key, an `Idempotency-Key`, JSON both ways.

use std::time::Duration;

use base::{Error, error::Kind};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use super::{Charge, Charged, Settings};
use crate::domain::OrderId;

/// Longer than an acquirer usually takes, shorter than an order waits.
const DEADLINE: Duration = Duration::from_millis(1_500);

#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    authorization: String,
}

impl Http {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Error> {
        let url = settings.url.trim_end_matches('/').to_owned();
        if url.parse::<http::Uri>().is_err() {
            let detail = format!("service.payment.acquirer.url: {url}");
            return Err(Error::new(Kind::Invalid, "CONFIGURATION", detail));
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let credentials = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("{}:", settings.secret_key),
        );
        Ok(Self { client, url, authorization: format!("Basic {credentials}") })
    }

    pub(crate) async fn charge(&self, charge: &Charge) -> Result<Charged, Error> {
        let body = json!({
            "paymentKey": charge.token,
            "orderId": charge.order.to_string(),
            "amount": charge.amount.minor(),
        });
        let key = charge.payment.to_string();
        let (status, answer) =
            self.call(Method::POST, "/v1/payments/confirm", Some(&key), Some(&body)).await?;
        match (status, answer["paymentKey"].as_str()) {
            (StatusCode::OK, Some(reference)) => Ok(Charged::Yes(reference.to_owned())),
            (status, _) if status.is_client_error() && status != StatusCode::CONFLICT => {
                tracing::info!(code = %answer["code"], "the acquirer declined");
                Ok(Charged::Declined)
            }
            (status, _) => Err(unclear(status)),
        }
    }

    pub(crate) async fn refund(&self, order: OrderId) -> Result<(), Error> {
        let path = format!("/v1/payments/orders/{order}");
        let (status, known) = self.call(Method::GET, &path, None, None).await?;
        if status == StatusCode::NOT_FOUND {
            // Never charged.
            return Ok(());
        }
        let Some(reference) = known["paymentKey"].as_str().filter(|_| status == StatusCode::OK)
        else {
            return Err(unclear(status));
        };
        if known["status"] == "CANCELED" {
            return Ok(());
        }
        let path = format!("/v1/payments/{reference}/cancel");
        let body = json!({ "cancelReason": "order cancelled" });
        let key = format!("cancel-{order}");
        let (status, _) = self.call(Method::POST, &path, Some(&key), Some(&body)).await?;
        if status == StatusCode::OK { Ok(()) } else { Err(unclear(status)) }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Error> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request =
            request.body(Full::from(body)).map_err(|error| Error::internal(error.to_string()))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(away)?;
            let status = response.status();
            let bytes = response.into_body().collect().await.map_err(away)?.to_bytes();
            Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
        };
        tokio::time::timeout(DEADLINE, exchange).await.map_err(away)?
    }
}

fn away(error: impl std::fmt::Display) -> Error {
    Error::unavailable("ACQUIRER_UNAVAILABLE", "the acquirer is unavailable")
        .because(format!("the acquirer: {error}"))
}

fn unclear(status: StatusCode) -> Error {
    Error::unavailable("ACQUIRER_UNAVAILABLE", format!("the acquirer answered {status}"))
}
