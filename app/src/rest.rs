//! A small REST client: JSON out, JSON in, over one connection pool. Knows no
//! resource, and repeats nothing by itself.

use std::{fmt, time::Duration};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Longer than any deadline of the gateway.
const LIMIT: Duration = Duration::from_secs(30);

/// Speaks to one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rest {
    base: String,
    client: Client<HttpConnector, Full<Bytes>>,
    token: Option<String>,
}

/// A stream that is being read.
#[derive(Debug)]
pub struct Lines {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next line, without its end; none at the end. An error when the stream breaks off.
    pub async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.drain(..=end).collect::<Vec<u8>>();
                let line = String::from_utf8(line).context("not UTF-8")?;
                return Ok(Some(line.trim_end_matches('\n').to_owned()));
            }
            match self.body.frame().await {
                Some(frame) => {
                    let frame = frame.context("the stream broke off")?;
                    self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => self.buffer.push(b'\n'),
            }
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when there is none.
    pub body: Value,
}

impl Rest {
    /// A client of the gateway at `base` (`http://127.0.0.1:8080`), not signed in.
    pub fn new(base: impl Into<String>) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { base: base.into(), client, token: None }
    }

    /// The same client, signed in.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    /// The same client of another gateway.
    #[must_use]
    pub fn at(&self, base: impl Into<String>) -> Self {
        Self { base: base.into(), ..self.clone() }
    }

    /// Reads a resource.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, None, &[]).await
    }

    /// Creates something, or has something done.
    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    /// Sends a request with further headers.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let request = self.request(method, path, body, headers)?;
        tokio::time::timeout(LIMIT, self.exchange(request))
            .await
            .with_context(|| format!("no answer from {} in {LIMIT:?}", self.base))?
    }

    /// Opens a stream, of which the lines come as they are written.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<Lines> {
        let request = self.request(Method::GET, path, None, headers)?;
        let (parts, body) = self.respond(request).await?.into_parts();
        Ok(Lines { status: parts.status, headers: parts.headers, body, buffer: Vec::new() })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        request.body(Full::new(Bytes::from(body))).context("not a request")
    }

    async fn respond(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        let response = self.client.request(request).await;
        response.with_context(|| format!("cannot reach {}", self.base))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let (parts, body) = self.respond(request).await?.into_parts();
        let body = body.collect().await.context("the answer broke off")?.to_bytes();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()))
        };
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

impl Answer {
    /// How long to wait before it is asked again, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The field at a JSON pointer without the first slash (`balance/units`), as text; empty when absent.
    pub fn text(&self, pointer: &str) -> String {
        match self.body.pointer(&format!("/{pointer}")) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The field at a JSON pointer as a number, also where canonical JSON writes it as a string.
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.text(pointer).parse().ok()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.body)
    }
}
