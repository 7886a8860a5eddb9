//! A client that speaks JSON over HTTP, with TLS and the system's roots where the URL says
//! `https`: to the acquirer and to the bank. An answer that is not JSON reads as null.

use std::time::Duration;

use base::{Error, error::Kind};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// How long an answer is waited for, in milliseconds, unless settings say otherwise: longer than one
/// usually takes, shorter than an order waits.
pub(crate) const TIMEOUT_MS: u64 = 1_500;
/// No answer is larger, in bytes.
const ANSWER_MOST: usize = 1024 * 1024;

/// One of them: where, and how it knows us.
#[derive(Clone)]
pub(crate) struct Json {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// What it is called in logs and in errors: `acquirer`.
    name: &'static str,
    url: String,
    authorization: String,
    timeout: Duration,
}

impl Json {
    /// `setting` is where `url` was read from. Basic authentication with the secret as user name.
    pub(crate) fn new(
        name: &'static str,
        setting: &str,
        url: &str,
        secret: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let wrong = |detail: String| Error::new(Kind::Invalid, "CONFIGURATION", detail);
        let url = url.trim_end_matches('/').to_owned();
        let scheme =
            url.parse::<http::Uri>().ok().and_then(|uri| uri.scheme_str().map(str::to_owned));
        if !matches!(scheme.as_deref(), Some("http" | "https")) {
            return Err(wrong(format!("{setting}: {url}: must be a URL of http or https")));
        }
        let mut roots = rustls::RootCertStore::empty();
        if scheme.as_deref() == Some("https") {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(format!("{setting}: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let credentials = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            format!("{secret}:"),
        );
        Ok(Self { client, name, url, authorization: format!("Basic {credentials}"), timeout })
    }

    /// Calls, and answers the status and the body. An error leaves it open whether it was heard.
    pub(crate) async fn call(
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
            let response = self.client.request(request).await.map_err(|e| self.away(e))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_MOST).collect().await;
            let bytes = body.map_err(|error| self.away(error))?.to_bytes();
            Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
        };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|error| self.away(error))?
    }

    fn away(&self, error: impl std::fmt::Display) -> Error {
        let name = self.name;
        self.unavailable(&format!("the {name} is unavailable"))
            .because(format!("the {name}: {error}"))
    }

    /// What this answer leaves open.
    pub(crate) fn unclear(&self, status: StatusCode) -> Error {
        self.unavailable(&format!("the {} answered {status}", self.name))
    }

    fn unavailable(&self, detail: &str) -> Error {
        Error::unavailable(format!("{}_UNAVAILABLE", self.name.to_uppercase()), detail)
    }
}

/// Whether a status says yes or no: 401, 408, 409, 429 and all above 499 say neither.
pub(crate) fn is_definite(status: StatusCode) -> bool {
    let open = [
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_success() || (status.is_client_error() && !open.contains(&status))
}
