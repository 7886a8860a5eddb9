//! Who may call what, as the contracts say it: denied by default.
//!
//! The rules are generated from the contracts (see [`schema::Access`]). The layer checks roles and callers before a handler runs; a
//! handler whose method names an owner finishes the check (see `incoming`). A
//! revoked token opens nothing (see `revocation`), whatever the rules say.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use base::{Error, error::Kind};
use futures_util::future::{Either, Ready, ready};
use schema::Access;
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::{
    auth::{Caller, Role, Verifier},
    revocation::Revoked,
};

/// The role that everybody has, also without a token.
const ANYONE: &str = "ANYONE";

/// Who may call one method.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The method's path, `/hansang.order.v1.OrderService/PlaceOrder`.
    pub method: Arc<str>,
    anyone: bool,
    roles: Vec<Role>,
    owner: bool,
    callers: &'static [&'static str],
    on_behalf_of: bool,
}

/// What the layer found out, for the handler.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Who is calling.
    pub caller: Caller,
    /// What they may see.
    pub scope: Scope,
    /// The method's path.
    pub method: Arc<str>,
}

/// Whose resources a caller may touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everyone's.
    All,
    /// Their own; everything else is as if it did not exist.
    Own(Uuid),
}

impl Scope {
    /// The owner to filter by, for `where ($1::uuid is null or member_id = $1)`.
    pub fn owner(self) -> Option<Uuid> {
        match self {
            Self::All => None,
            Self::Own(id) => Some(id),
        }
    }
}

/// The rules of all methods.
#[derive(Clone, Debug, Default)]
pub struct Rules(Arc<HashMap<Arc<str>, Rule>>);

impl Rules {
    /// The rules of the gRPC services in `served`. A service without any is an error: nothing that is
    /// served is open by mistake.
    pub fn of(access: &[Access], served: &[&str]) -> Result<Self, Error> {
        let mut rules = HashMap::new();
        for name in served {
            let before = rules.len();
            for access in access.iter().filter(|access| service_of(access.method) == Some(name)) {
                let rule = Rule::of(access)?;
                rules.insert(Arc::clone(&rule.method), rule);
            }
            if rules.len() == before {
                let detail = format!("no contract says who may call {name}");
                return Err(Error::new(Kind::Invalid, "NO_ACCESS_RULE", detail));
            }
        }
        Ok(Self(Arc::new(rules)))
    }

    /// Whether anyone may call, also without a token.
    fn is_open(&self, path: &str) -> bool {
        self.0.get(path).is_some_and(|rule| rule.anyone)
    }

    fn check(&self, path: &str, caller: Caller) -> Result<Option<Pass>, Error> {
        match self.0.get(path) {
            Some(rule) => rule.check(caller).map(Some),
            // Not one of ours: health and reflection are open, the rest is unimplemented.
            None => Ok(None),
        }
    }
}

/// The gRPC service that a path is of.
fn service_of(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.split_once('/').map(|(service, _)| service)
}

fn for_nobody() -> Error {
    let detail = "the token does not say on whose behalf the service calls";
    Error::new(Kind::Forbidden, "ON_BEHALF_OF_REQUIRED", detail)
}

impl Rule {
    fn of(access: &Access) -> Result<Self, Error> {
        let roles = access.roles.iter().filter(|role| **role != ANYONE);
        Ok(Self {
            method: access.method.into(),
            anyone: access.roles.contains(&ANYONE),
            roles: roles.map(|role| role.parse()).collect::<Result<_, _>>()?,
            owner: access.owner,
            callers: access.callers,
            on_behalf_of: access.on_behalf_of,
        })
    }

    fn check(&self, caller: Caller) -> Result<Pass, Error> {
        let scope = match &caller {
            _ if self.anyone => Scope::All,
            Caller::Anonymous => {
                return Err(Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", "sign in first"));
            }
            Caller::Member { roles, .. } if roles.iter().any(|r| self.roles.contains(r)) => {
                Scope::All
            }
            Caller::Member { id, .. } if self.owner => Scope::Own(*id),
            Caller::Service { name, on_behalf_of }
                if self.callers.iter().any(|c| *c == "*" || c == name) =>
            {
                match on_behalf_of {
                    _ if !self.on_behalf_of => Scope::All,
                    Some(member) => Scope::Own(*member),
                    None => return Err(for_nobody()),
                }
            }
            Caller::Operator(_) if !self.callers.is_empty() => Scope::All,
            _ => {
                return Err(Error::new(
                    Kind::Forbidden,
                    "ROLE_REQUIRED",
                    "your roles do not allow this call",
                ));
            }
        };
        Ok(Pass { caller, scope, method: Arc::clone(&self.method) })
    }
}

/// Puts [`Check`] in front of a server.
#[derive(Clone)]
pub struct AccessLayer {
    rules: Rules,
    verifier: Verifier,
    revoked: Revoked,
    /// The gRPC services of the one that issues tokens, if it is served here.
    issuer: Arc<[&'static str]>,
}

impl AccessLayer {
    /// Checks calls by these rules, and their tokens with this verifier.
    pub fn new(rules: Rules, verifier: Verifier) -> Self {
        Self { rules, verifier, revoked: Revoked::default(), issuer: Arc::default() }
    }

    /// Refuses these tokens too, but for calls of the gRPC services in `issuer`: who revoked them
    /// decides about them itself.
    #[must_use]
    pub fn refusing(self, revoked: Revoked, issuer: &[&'static str]) -> Self {
        Self { revoked, issuer: issuer.into(), ..self }
    }

    fn check(&self, path: &str, authorization: Option<&str>) -> Result<Option<Pass>, Error> {
        let (caller, issued) = match self.verifier.verify(authorization) {
            // What is open to everybody is open to those with a stale or foreign token.
            Err(_) if self.rules.is_open(path) => return self.rules.check(path, Caller::Anonymous),
            verified => verified?,
        };
        if let Caller::Member { id, .. } = caller
            && self.revoked.contains(id, issued)
            && !self.is_issuers(path)
        {
            if self.rules.is_open(path) {
                return self.rules.check(path, Caller::Anonymous);
            }
            let detail = "the token has been revoked";
            return Err(Error::new(Kind::Unauthenticated, "TOKEN_REVOKED", detail));
        }
        self.rules.check(path, caller)
    }

    fn is_issuers(&self, path: &str) -> bool {
        service_of(path).is_some_and(|service| self.issuer.contains(&service))
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Check<S>;

    fn layer(&self, inner: S) -> Check<S> {
        Check { inner, access: self.clone() }
    }
}

/// Refuses who may not call, and tells the handler who does.
#[derive(Clone)]
pub struct Check<S> {
    inner: S,
    access: AccessLayer,
}

impl<S> Service<http::Request<Body>> for Check<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Self::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let authorization =
            request.headers().get(http::header::AUTHORIZATION).map(|value| value.to_str());
        let checked = match authorization.transpose() {
            Ok(value) => self.access.check(request.uri().path(), value),
            Err(_) => Err(Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", "not a token")),
        };
        match checked {
            Ok(pass) => {
                if let Some(pass) = pass {
                    request.extensions_mut().insert(pass);
                }
                Either::Left(self.inner.call(request))
            }
            Err(error) => Either::Right(ready(Ok(Status::from(error).into_http()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{auth::Issuer, revocation::Void};
    use testkit::stage;

    fn member(id: Uuid, roles: &[Role]) -> Caller {
        Caller::Member { id, roles: roles.to_vec() }
    }

    fn service(name: &str, on_behalf_of: Option<Uuid>) -> Caller {
        Caller::Service { name: name.into(), on_behalf_of }
    }

    #[test]
    fn a_service_that_acts_for_a_member_sees_what_is_theirs() {
        let rule = Rule { callers: &["one"], on_behalf_of: true, ..Rule::default() };
        let id = Uuid::now_v7();
        let scope = |caller| rule.check(caller).map(|pass| pass.scope).map_err(|e| e.kind());
        assert_eq!(scope(service("one", Some(id))), Ok(Scope::Own(id)));
        assert_eq!(scope(service("one", None)), Err(Kind::Forbidden));
        assert_eq!(scope(service("two", Some(id))), Err(Kind::Forbidden));
        assert_eq!(scope(Caller::Operator("me".into())), Ok(Scope::All));
    }

    #[test]
    fn an_owner_sees_their_own_and_an_admin_everything() {
        let rule = Rule { roles: vec![Role::Admin], owner: true, ..Rule::default() };
        let id = Uuid::now_v7();
        let scope = |caller| rule.check(caller).map(|pass| pass.scope).map_err(|e| e.kind());
        assert_eq!(scope(member(id, &[Role::Member])), Ok(Scope::Own(id)));
        assert_eq!(scope(member(id, &[Role::Member, Role::Admin])), Ok(Scope::All));
        assert_eq!(scope(Caller::Anonymous), Err(Kind::Unauthenticated));
        assert_eq!(scope(service("other", None)), Err(Kind::Forbidden));
    }

    #[test]
    fn only_named_services_may_call_an_internal_method() {
        let rule = Rule { callers: &["one"], ..Rule::default() };
        assert!(rule.check(service("one", None)).is_ok());
        assert!(rule.check(Caller::Operator("me".into())).is_ok());
        assert!(rule.check(service("two", None)).is_err());
        assert!(rule.check(member(Uuid::now_v7(), &[Role::Admin])).is_err());
    }

    #[test]
    fn a_revoked_token_opens_nothing_but_the_issuers_own_calls() {
        let auth = stage::auth();
        let now = SystemTime::now();
        let bearer = |id| {
            let issuer = Issuer::new(&auth).expect("the key is one");
            let (token, _) = issuer.issue(id, vec![Role::Admin], now).expect("signs");
            format!("Bearer {token}")
        };
        let (gone, other) = (Uuid::now_v7(), Uuid::now_v7());
        let revoked = Revoked::default();
        let access =
            AccessLayer::new(Rules::default(), Verifier::new(&auth).expect("the keys are keys"))
                .refusing(revoked.clone(), &["test.v1.Sessions"]);
        let check = |path, id| {
            let checked = access.check(path, Some(&bearer(id)));
            checked.map(|_| ()).map_err(|error| (error.kind(), error.reason().to_owned()))
        };
        assert_eq!(check("/test.v1.Shop/Buy", gone), Ok(()));
        let void = Void { issued_by: u64::MAX, until: now + Duration::from_mins(15) };
        revoked.learn([(gone, void)], now);
        let refused = Err((Kind::Unauthenticated, "TOKEN_REVOKED".to_owned()));
        assert_eq!(check("/test.v1.Shop/Buy", gone), refused);
        assert_eq!(check("/test.v1.Sessions2/End", gone), refused);
        assert_eq!(check("/test.v1.Sessions/End", gone), Ok(()));
        assert_eq!(check("/test.v1.Shop/Buy", other), Ok(()));
    }

    #[test]
    fn a_service_without_rules_and_an_unknown_role_are_errors() {
        let access = |method, roles| Access {
            method,
            roles,
            owner: false,
            callers: &[],
            on_behalf_of: false,
        };
        let said = [
            access("/test.v1.Open/Get", &["ANYONE"]),
            access("/test.v1.Closed/Get", &["MEMBER", "ADMIN"]),
            access("/test.v1.Odd/Get", &["NOBODY"]),
        ];
        let rules = Rules::of(&said, &["test.v1.Open", "test.v1.Closed"]).expect("rules");
        let check = |path| rules.check(path, Caller::Anonymous).map(|pass| pass.is_some());
        assert_eq!(check("/test.v1.Open/Get").ok(), Some(true));
        assert_eq!(check("/test.v1.Closed/Get").map_err(|e| e.kind()), Err(Kind::Unauthenticated));
        assert_eq!(check("/test.v1.Odd/Get").ok(), Some(false));
        let error = Rules::of(&said, &["test.v1.Unsaid"]).expect_err("refused");
        assert_eq!(error.reason(), "NO_ACCESS_RULE");
        assert!(Rules::of(&said, &["test.v1.Odd"]).is_err());
    }
}
