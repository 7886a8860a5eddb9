//! A visit: who asks for a page, in which language, with what in the cart, and where from. Handlers take
//! it as an argument; `guard` has made it.

use std::{net::SocketAddr, ops::Deref, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    response::{IntoResponse as _, Redirect, Response},
};
use base::id::Uuid;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri, header, request::Parts};
use identity::auth::{Caller, Role};

use crate::{
    Api, Web, cookie,
    failure::Failure,
    lang::{Lang, Text},
    layout::Notice,
    paths,
};

/// Who visits, and how. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Visit(Arc<Inner>);

/// What is known of a visit.
pub(crate) struct Inner {
    pub(crate) web: Arc<Web>,
    pub(crate) api: Api,
    pub(crate) lang: Lang,
    /// Whoever is signed in.
    pub(crate) member: Option<Member>,
    /// What the page says first.
    pub(crate) notice: Option<Notice>,
    /// The page's path with its query.
    pub(crate) path: String,
    /// It changes nothing.
    pub(crate) is_read: bool,
    /// By TLS.
    pub(crate) secure: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) from: Option<ConnectInfo<SocketAddr>>,
    /// The number that forms are signed with.
    visitor: String,
    /// The browser does not have it yet.
    pub(crate) is_new: bool,
}

/// Whoever is signed in.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) id: Uuid,
    pub(crate) roles: Vec<Role>,
    pub(crate) token: String,
}

impl Deref for Visit {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Visit {
    /// Who asks for this.
    pub(crate) fn of(web: &Arc<Web>, api: &Api, parts: &Parts) -> Self {
        let headers = &parts.headers;
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let by_tls = said("x-forwarded-proto").is_some_and(|it| it.eq_ignore_ascii_case("https"));
        let visitor = cookie::read(headers, cookie::VISITOR).filter(|it| it.len() == 22);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        Self(Arc::new(Inner {
            web: Arc::clone(web),
            api: api.clone(),
            lang: Lang::wanted(headers),
            member: cookie::read(headers, cookie::SESSION).and_then(|it| member(web, it)),
            notice: cookie::read(headers, cookie::NOTICE).and_then(Notice::of),
            path: path.to_owned(),
            is_read: parts.method.is_safe(),
            secure: web.tls || (web.proxied && by_tls),
            headers: headers.clone(),
            from: parts.extensions.get().copied(),
            is_new: visitor.is_none(),
            visitor: visitor.map_or_else(fresh, str::to_owned),
        }))
    }

    /// The text in the visitor's language.
    pub(crate) fn t(&self, ko: &'static str, en: &'static str) -> &'static str {
        self.lang.pick(ko, en)
    }

    /// The same, of a pair.
    pub(crate) fn text(&self, (ko, en): Text) -> &'static str {
        self.lang.pick(ko, en)
    }

    /// A page that can be read again: this one, or the one that the form was on.
    pub(crate) fn here(&self) -> String {
        if self.is_read {
            return self.path.clone();
        }
        let referer = self.headers.get(header::REFERER).and_then(|it| it.to_str().ok());
        let referer = referer.and_then(|it| it.parse::<Uri>().ok());
        let path =
            referer.as_ref().and_then(Uri::path_and_query).map(http::uri::PathAndQuery::as_str);
        paths::local(path.unwrap_or(paths::HOME)).to_owned()
    }

    /// The member; whoever is not signed in is asked to.
    pub(crate) fn member(&self) -> Result<&Member, Failure> {
        self.member.as_ref().ok_or_else(Failure::sign_in)
    }

    /// The member's id, as messages have it.
    pub(crate) fn member_id(&self) -> Result<String, Failure> {
        Ok(self.member()?.id.to_string())
    }

    /// Whether the member's token has a role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.member.as_ref().is_some_and(|member| member.roles.contains(&role))
    }

    /// What a form of this visitor carries, and no other site's page can know.
    pub(crate) fn signature(&self) -> String {
        let digest = digest(&SHA256, format!("form {}", self.visitor).as_bytes());
        URL_SAFE_NO_PAD.encode(digest)
    }

    /// The cookie of the visitor's number.
    pub(crate) fn visitor_cookie(&self) -> Option<HeaderValue> {
        self.cookie(cookie::VISITOR, &self.visitor, YEAR)
    }

    /// A cookie as this connection wants it.
    pub(crate) fn cookie(&self, name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
        cookie::write(name, value, seconds, self.secure)
    }

    /// Sends the browser on, after a form: to a path of this site, which says `notice` first.
    pub(crate) fn go(&self, path: &str, notice: Option<Notice>) -> Response {
        let mut response = Redirect::to(paths::local(path)).into_response();
        if let Some(notice) = notice {
            self.set(&mut response, cookie::NOTICE, notice.code(), 60);
        }
        response
    }

    /// Sets a cookie with a response.
    pub(crate) fn set(&self, response: &mut Response, name: &str, value: &str, seconds: u64) {
        if let Some(cookie) = self.cookie(name, value, seconds) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }

    /// Begins or ends a session: forms from before are void.
    pub(crate) fn set_session(&self, response: &mut Response, token: &str, seconds: u64) {
        self.set(response, cookie::SESSION, token, seconds);
        self.set(response, cookie::VISITOR, &fresh(), YEAR);
    }
}

/// How long a browser keeps what is not a secret of the member's.
pub(crate) const YEAR: u64 = 365 * 24 * 60 * 60;

/// Whose token this is, unless it has expired.
fn member(web: &Web, token: &str) -> Option<Member> {
    match web.verifier.caller(Some(&format!("Bearer {token}"))) {
        Ok(Caller::Member { id, roles }) => Some(Member { id, roles, token: token.to_owned() }),
        _ => None,
    }
}

/// A number that nobody can guess.
fn fresh() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get().cloned().ok_or_else(|| Failure::fault("a page outside the guard"))
    }
}
