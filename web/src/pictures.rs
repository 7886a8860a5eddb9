//! Pictures of products: kept in an object store under the hash of their bytes, and so for ever the same
//! under their address. What a file is, its first bytes say, not its name: PNG, JPEG, WebP or GIF, of
//! 2 MiB at most. What could hold a script, such as SVG, is refused.

pub(crate) mod unused;

use std::{path::Path, sync::Arc, time::SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Router,
    body::Bytes,
    extract::{self, DefaultBodyLimit, FromRequest, FromRequestParts as _, Multipart, Request},
    response::{IntoResponse as _, Response},
    routing::{self, MethodRouter},
};
use base::error::configuration;
use futures_util::TryStreamExt as _;
use http::{StatusCode, header};
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem};

use crate::{Web, failure::Failure, form::Posted, paths, visit::Visit};

/// In bytes.
const LARGEST: usize = 2 * 1024 * 1024;
/// What a form has besides the picture.
const FORM: usize = 64 * 1024;
/// Whoever opens a picture by itself sees a picture, whatever else is in it.
const POLICY: &str = "default-src 'none'; sandbox";

/// Where pictures are kept, if anywhere.
#[derive(Clone, Debug)]
pub(crate) struct Pictures(Option<Arc<dyn ObjectStore>>);

impl Pictures {
    /// Those in a directory, which is made when it is missing; with an empty path nothing can be kept.
    pub(crate) fn open(directory: &Path) -> Result<Self, base::Error> {
        if directory.as_os_str().is_empty() {
            return Ok(Self(None));
        }
        let unusable = |error: &dyn std::fmt::Display| {
            configuration(format!("service.web.pictures: {}: {error}", directory.display()))
        };
        std::fs::create_dir_all(directory).map_err(|error| unusable(&error))?;
        let store =
            LocalFileSystem::new_with_prefix(directory).map_err(|error| unusable(&error))?;
        Ok(Self(Some(Arc::new(store))))
    }

    /// Whether there is a place to keep them.
    pub(crate) fn are_kept(&self) -> bool {
        self.0.is_some()
    }

    fn store(&self) -> Result<&Arc<dyn ObjectStore>, Failure> {
        self.0.as_ref().ok_or_else(|| Failure::field("picture", "pictures are not kept here"))
    }

    /// Keeps a picture; answers what it is kept under.
    pub(crate) async fn keep(&self, bytes: Bytes) -> Result<String, Failure> {
        if bytes.len() > LARGEST {
            return Err(Failure::field("picture", "must have 1 to 2,097,152 bytes"));
        }
        kind(&bytes)
            .ok_or_else(|| Failure::field("picture", "must be a PNG, JPEG, WebP or GIF picture"))?;
        let hash = digest(&SHA256, &bytes);
        let hash =
            hash.as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        // Written beside its place and then moved there: nobody reads half of it.
        let put = self.store()?.put(&hash.as_str().into(), bytes.into()).await;
        put.map_err(|error| Failure::fault(&format!("picture not kept: {error}")))?;
        Ok(hash)
    }

    /// What was last kept before that.
    async fn kept_before(&self, before: SystemTime) -> Result<Vec<String>, Failure> {
        let old = self.store()?.list(None).try_filter_map(async |kept| {
            let is_old = SystemTime::from(kept.last_modified) < before;
            Ok(Some(kept.location.to_string()).filter(|name| is_old && is_hash(name)))
        });
        old.try_collect()
            .await
            .map_err(|error| Failure::fault(&format!("pictures not listed: {error}")))
    }

    /// Deletes a picture, unless it was kept again since.
    async fn delete(&self, hash: &str, before: SystemTime) -> Result<bool, Failure> {
        let (store, path) = (self.store()?, object_store::path::Path::from(hash));
        let deleted = async {
            let kept = store.head(&path).await?;
            let is_old = SystemTime::from(kept.last_modified) < before;
            if is_old {
                store.delete(&path).await?;
            }
            Ok(is_old)
        };
        deleted.await.or_else(|error| match error {
            // Another replica was quicker.
            object_store::Error::NotFound { .. } => Ok(false),
            error => Err(Failure::fault(&format!("picture not deleted: {error}"))),
        })
    }

    async fn find(&self, hash: &str) -> Result<Bytes, Failure> {
        let Some(store) = self.0.as_ref().filter(|_| is_hash(hash)) else {
            return Err(Failure::not_found());
        };
        let found = async { store.get(&hash.into()).await?.bytes().await };
        found.await.map_err(|error| match error {
            object_store::Error::NotFound { .. } => Failure::not_found(),
            error => Failure::fault(&format!("picture not read: {error}")),
        })
    }
}

/// What pictures are kept under.
fn is_hash(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 64 && name.bytes().all(digit)
}

/// What a picture is, by its first bytes.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

/// Serves them; outside the guard, as they are for everybody, and kept by everybody.
pub(crate) fn router(web: &Web) -> Router {
    let pictures = web.pictures.clone();
    let show = async move |extract::Path(hash): extract::Path<String>| show(&pictures, &hash).await;
    Router::new().route(paths::PICTURE, routing::get(show))
}

async fn show(pictures: &Pictures, hash: &str) -> Response {
    let found = pictures.find(hash).await;
    let Ok((bytes, kind)) = found.and_then(|it| match kind(&it) {
        Some(kind) => Ok((it, kind)),
        None => Err(Failure::not_found()),
    }) else {
        return (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")]).into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, bytes).into_response()
}

/// A form with a picture.
pub(crate) struct Upload {
    pub(crate) form: Posted,
    pub(crate) picture: Bytes,
}

/// A route that takes one: with more in it than other forms may have.
pub(crate) fn taking(route: MethodRouter) -> MethodRouter {
    route.layer(DefaultBodyLimit::max(LARGEST + FORM))
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let unreadable = |_| Failure::field("picture", "must be a picture of 2 MiB at most");
        let request = Request::from_parts(parts, body);
        let sent = Multipart::from_request(request, state).await;
        let mut sent = sent.map_err(|_| Failure::field("picture", "must be sent as a file"))?;
        let (mut values, mut picture) = (Vec::new(), Bytes::new());
        while let Some(field) = sent.next_field().await.map_err(unreadable)? {
            match field.name().unwrap_or_default().to_owned() {
                name if name == "picture" => picture = field.bytes().await.map_err(unreadable)?,
                name => values.push((name, field.text().await.map_err(unreadable)?)),
            }
        }
        Ok(Self { form: Posted::checked(&visit, values)?, picture })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n....";

    #[tokio::test]
    async fn a_picture_is_kept_under_its_hash_and_shown_as_what_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let pictures = Pictures::open(&dir.path().join("new")).expect("a store");
        let hash = pictures.keep(Bytes::from_static(PNG)).await.expect("kept");
        assert_eq!(pictures.keep(Bytes::from_static(PNG)).await.expect("kept again"), hash);
        let shown = show(&pictures, &hash).await;
        let header = |name: &str| shown.headers()[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "image/png");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
        assert!(header("content-security-policy").contains("sandbox"));
        for wrong in ["", "../new", &hash.to_uppercase(), &"0".repeat(64)] {
            assert_eq!(show(&pictures, wrong).await.status(), StatusCode::NOT_FOUND, "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_is_no_picture_is_refused_whatever_it_is_called() {
        let dir = tempfile::tempdir().expect("a directory");
        let pictures = Pictures::open(dir.path()).expect("a store");
        let svg = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
        let large = [PNG, &vec![0; LARGEST]].concat();
        for wrong in [&b""[..], svg.as_bytes(), b"<script>", b"\x89PNG", b"RIFF....WAVE", &large] {
            pictures.keep(Bytes::copy_from_slice(wrong)).await.expect_err("no picture");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("reads").count(), 0);
        let nowhere = Pictures::open(Path::new("")).expect("none");
        nowhere.keep(Bytes::from_static(PNG)).await.expect_err("nowhere to keep it");
    }

    #[test]
    fn the_four_kinds_are_known() {
        for (bytes, is) in [
            (PNG, Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x00\x00\x00\x00WEBPVP8 ", Some("image/webp")),
            (b"%PDF-1.7", None),
        ] {
            assert_eq!(kind(bytes), is, "{bytes:?}");
        }
    }
}
