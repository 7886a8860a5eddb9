//! Content codings (RFC 9110, 8.4). Responses are compressed for who accepts that
//! (`serve`), and a representation in another coding has another entity tag
//! (8.8.3): `"7"` is `"7-gzip"` there. Whichever of them a client sends back names
//! the same version. Requests are taken without a coding.

use base::{Error, error::Kind};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use crate::{accept, problem};

/// What ends the tag of a compressed representation.
const GZIP: &str = "-gzip\"";

/// Tags without what says of them how the representation was coded.
pub(crate) fn plain(tags: &str) -> String {
    tags.replace(GZIP, "\"")
}

/// Refuses a body that would have to be decoded first.
pub(crate) fn not_coded(sent: &HeaderMap) -> Result<(), Error> {
    let codings = sent.get_all(header::CONTENT_ENCODING).iter();
    if codings.into_iter().all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "the body must not have a Content-Encoding";
    Err(Error::new(Kind::Invalid, problem::CODED, detail))
}

/// Passes over what a client says of codings when it takes neither of ours (12.5.3): it gets the plain one.
/// Otherwise it would be told after the call that there is none for it, whatever the call has done.
pub(crate) fn disregard<B>(mut request: Request<B>) -> Request<B> {
    let headers = request.headers();
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    let values = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let codings: Vec<(&str, u16)> = values.map(weighed).collect();
    let of = |name: &str| {
        let named = codings.iter().find(|(coding, _)| coding.eq_ignore_ascii_case(name));
        named
            .or_else(|| codings.iter().find(|(coding, _)| *coding == "*"))
            .map(|(_, weight)| *weight)
    };
    if of("identity") == Some(0) && of("gzip").unwrap_or_default() == 0 {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request
}

/// A coding, and how much it is wanted: `gzip;q=0.5`.
fn weighed(coding: &str) -> (&str, u16) {
    let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
    let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|it| it.trim().strip_prefix('='));
    (name.trim(), weight.map_or(1000, accept::thousandths))
}

/// The tag of the compressed representation.
pub(crate) fn gzip(tag: &HeaderValue) -> Option<HeaderValue> {
    let tag = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{tag}{GZIP}")).ok()
}

/// The tag as the client knows it, if these are the tags that it has.
pub(crate) fn as_known(tag: HeaderValue, known: &HeaderMap) -> HeaderValue {
    let Some(gzip) = gzip(&tag) else { return tag };
    let known = known.get_all(header::IF_NONE_MATCH).iter();
    let known = known.filter_map(|tags| tags.to_str().ok());
    let coded = gzip.to_str().is_ok_and(|gzip| known.into_iter().any(|tags| tags.contains(gzip)));
    if coded { gzip } else { tag }
}

/// Gives a response that has been compressed the tag of that representation, and one that stands for
/// another (304) the `Vary` that this one would have.
pub(crate) fn tagged<B>(mut response: Response<B>) -> Response<B> {
    let not_modified = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    if not_modified {
        headers.append(header::VARY, header::ACCEPT_ENCODING.into());
    }
    let coded = headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
    let tag = headers.get(header::ETAG).filter(|_| coded).and_then(gzip);
    if let Some(tag) = tag {
        headers.insert(header::ETAG, tag);
    }
    response
}
