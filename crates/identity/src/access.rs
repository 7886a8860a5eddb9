//! Who may call what, as the contracts say it: denied by default.
//!
//! The rules are read once, at start, from the `hansang.api.v1.access` options
//! of the methods. The layer checks roles and callers before a handler runs; a
//! handler whose method names an owner finishes the check (see `incoming`). A
//! revoked token opens nothing (see `revocation`), whatever the rules say.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

use base::{Error, error::Kind};
use futures_util::future::{Either, Ready, ready};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use uuid::Uuid;

use crate::{
    auth::{Caller, Role, Verifier},
    revocation::Revoked,
};

const OPTION: &str = "hansang.api.v1.access";

/// Who may call one method.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The method's path, `/hansang.order.v1.OrderService/PlaceOrder`.
    pub method: Arc<str>,
    anyone: bool,
    roles: Vec<Role>,
    owner: bool,
    callers: Vec<String>,
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
    /// Reads the rules of the gRPC services in `served` from an encoded descriptor set. A
    /// method that does not say who may call it is an error.
    pub fn read(descriptors: &[u8], served: &[&str]) -> Result<Self, Error> {
        let pool = DescriptorPool::decode(descriptors)
            .map_err(|error| Error::internal(format!("contracts: {error}")))?;
        let option = pool
            .get_extension_by_name(OPTION)
            .ok_or_else(|| Error::internal(format!("contracts: no option {OPTION}")))?;
        let mut rules = HashMap::new();
        for name in served {
            let service = pool
                .get_service_by_name(name)
                .ok_or_else(|| Error::internal(format!("contracts: no service {name}")))?;
            for method in service.methods() {
                let path: Arc<str> = format!("/{name}/{}", method.name()).into();
                let options = method.options();
                let access = options.has_extension(&option).then(|| options.get_extension(&option));
                let rule = access
                    .as_deref()
                    .and_then(Value::as_message)
                    .and_then(|access| rule(Arc::clone(&path), access))
                    .ok_or_else(|| {
                        Error::new(
                            Kind::Invalid,
                            "NO_ACCESS_RULE",
                            format!("{path} does not say who may call it (option {OPTION})"),
                        )
                    })?;
                rules.insert(path, rule);
            }
        }
        Ok(Self(Arc::new(rules)))
    }

    fn check(&self, path: &str, caller: Caller) -> Result<Option<Pass>, Error> {
        match self.0.get(path) {
            Some(rule) => rule.check(caller).map(Some),
            // Not one of ours: health and reflection are open, the rest is unimplemented.
            None => Ok(None),
        }
    }
}

fn rule(method: Arc<str>, access: &DynamicMessage) -> Option<Rule> {
    let mut rule = Rule { method, ..Rule::default() };
    for role in access.get_field_by_name("roles")?.as_list()? {
        match role.as_enum_number()? {
            1 => rule.anyone = true,
            2 => rule.roles.push(Role::Member),
            3 => rule.roles.push(Role::Seller),
            4 => rule.roles.push(Role::Admin),
            _ => return None,
        }
    }
    rule.owner = !access.get_field_by_name("owner")?.as_str()?.is_empty();
    for caller in access.get_field_by_name("callers")?.as_list()? {
        rule.callers.push(caller.as_str()?.to_owned());
    }
    rule.on_behalf_of = !access.get_field_by_name("on_behalf_of")?.as_str()?.is_empty();
    let says_something =
        rule.anyone || rule.owner || !rule.roles.is_empty() || !rule.callers.is_empty();
    says_something.then_some(rule)
}

fn for_nobody() -> Error {
    let detail = "the token does not say on whose behalf the service calls";
    Error::new(Kind::Forbidden, "ON_BEHALF_OF_REQUIRED", detail)
}

impl Rule {
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
                if self.callers.iter().any(|c| c == "*" || c == name) =>
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
        let caller = self.verifier.caller(authorization)?;
        if let Caller::Member { id, .. } = caller
            && self.revoked.contains(id)
            && !self.is_issuers(path)
        {
            let detail = "the token has been revoked";
            return Err(Error::new(Kind::Unauthenticated, "TOKEN_REVOKED", detail));
        }
        self.rules.check(path, caller)
    }

    fn is_issuers(&self, path: &str) -> bool {
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        service.is_some_and(|(service, _)| self.issuer.contains(&service))
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
    use crate::auth::Issuer;
    use testkit::stage;

    fn member(id: Uuid, roles: &[Role]) -> Caller {
        Caller::Member { id, roles: roles.to_vec() }
    }

    fn service(name: &str, on_behalf_of: Option<Uuid>) -> Caller {
        Caller::Service { name: name.into(), on_behalf_of }
    }

    #[test]
    fn a_service_that_acts_for_a_member_sees_what_is_theirs() {
        let rule = Rule { callers: vec!["one".into()], on_behalf_of: true, ..Rule::default() };
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
        let rule = Rule { callers: vec!["one".into()], ..Rule::default() };
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
        revoked.learn([(gone, now + Duration::from_mins(15))], now);
        let refused = Err((Kind::Unauthenticated, "TOKEN_REVOKED".to_owned()));
        assert_eq!(check("/test.v1.Shop/Buy", gone), refused);
        assert_eq!(check("/test.v1.Sessions2/End", gone), refused);
        assert_eq!(check("/test.v1.Sessions/End", gone), Ok(()));
        assert_eq!(check("/test.v1.Shop/Buy", other), Ok(()));
    }

    #[test]
    fn a_method_that_says_nothing_is_an_error() {
        let source = r#"
            syntax = "proto3";
            package test.v1;
            import "hansang/api/v1/options.proto";
            message Nothing {}
            service Said { rpc Call(Nothing) returns (Nothing) {
                option (hansang.api.v1.access) = {roles: [ANYONE]}; } }
            service Unsaid { rpc Call(Nothing) returns (Nothing); }
            service Empty { rpc Call(Nothing) returns (Nothing) {
                option (hansang.api.v1.access) = {}; } }
        "#;
        let dir = tempfile::tempdir().expect("dir");
        std::fs::write(dir.path().join("test.proto"), source).expect("write");
        let options = concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto");
        let mut compiler = protox::Compiler::new([dir.path(), options.as_ref()]).expect("compiler");
        compiler.include_imports(true).open_file("test.proto").expect("compiles");
        let set = compiler.encode_file_descriptor_set();
        assert!(Rules::read(&set, &["test.v1.Said"]).is_ok());
        for silent in ["test.v1.Unsaid", "test.v1.Empty"] {
            let error = Rules::read(&set, &[silent]).expect_err("refused");
            assert_eq!(error.reason(), "NO_ACCESS_RULE");
        }
    }
}
