//! The document as a page, with Swagger UI, whose files are in the binary:
//! nothing is loaded from elsewhere, and the page may not.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use utoipa_swagger_ui::Config;

/// Scripts from here alone. Swagger UI sets styles in place, and draws with `data:` images.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Relative to the page, so that it stays right behind a prefix.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]).validator_url("none").try_it_out_enabled(true);
    Arc::new(config)
});

/// The answer for a path at or below `/docs`; nothing for others.
pub(crate) fn page(path: &str) -> Option<Response<Full<Bytes>>> {
    let file = path.strip_prefix("/docs")?;
    if file.is_empty() {
        return Some(moved("/docs/"));
    }
    let file = utoipa_swagger_ui::serve(file.strip_prefix('/')?, Arc::clone(&CONFIG)).ok()??;
    let kind = HeaderValue::try_from(file.content_type).ok()?;
    let mut response = Response::new(Full::from(file.bytes.into_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

fn moved(location: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(location));
    response
}
