//! Who is calling. Members carry tokens that the member service signed;
//! services and operators carry short-lived tokens that they sign themselves, each
//! with a key of its own. Says nothing about what a caller may do: see `access`.
//!
//! Tokens are JWTs (RFC 7519) signed with `EdDSA` over Ed25519 (RFC 8037);
//! public keys are a JWK set (RFC 7517).

mod sign;

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::{Error, error::Kind};
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{Jwk, JwkSet},
};
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};
use settings::AuthSettings;
use uuid::Uuid;

pub use self::sign::{Identity, Issuer, public_jwk};

const ISSUER: &str = "hansang";
const MEMBERS: &str = "hansang";
const INTERNAL: &str = "internal";
/// The `kid` of the key that all services share where they have none of their own.
const SHARED: &str = "internal";

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// No token.
    Anonymous,
    /// A signed-in person.
    Member {
        /// The member's id.
        id: Uuid,
        /// What the token says they may do.
        roles: Vec<Role>,
    },
    /// Another service.
    Service {
        /// Its name.
        name: String,
        /// The member whom it acts for.
        on_behalf_of: Option<Uuid>,
    },
    /// A person who runs the system.
    Operator(String),
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Any signed-in member.
    Member,
    /// Sells.
    Seller,
    /// Runs the shop.
    Admin,
}

impl Role {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::Member, "MEMBER"), (Self::Seller, "SELLER"), (Self::Admin, "ADMIN")];

    /// As contracts, tokens and databases have it.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let role = Self::NAMES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role);
        role.ok_or_else(|| Error::internal(format!("no role {name}")))
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roles: Vec<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<Uuid>,
}

impl Claims {
    fn new(aud: &str, sub: String, now: SystemTime, ttl: Duration) -> Self {
        let iat = seconds(now);
        Self {
            iss: ISSUER.into(),
            aud: aud.into(),
            sub,
            iat,
            exp: iat + ttl.as_secs(),
            roles: Vec::new(),
            on_behalf_of: None,
        }
    }
}

/// Tokens that are remembered once they have been checked.
const REMEMBERED: usize = 10_000;

/// Checks tokens. Remembers those that it found valid until they expire: checking a signature
/// costs more than all else that is done for a small request.
#[derive(Clone)]
pub struct Verifier(Arc<Keys>);

struct Keys {
    members: Vec<(Option<String>, DecodingKey)>,
    /// Of services and operators, each with whose it is.
    internal: Vec<(String, DecodingKey)>,
    /// Of all of them, where they share one.
    shared: Option<DecodingKey>,
    valid: Cache<Box<str>, Valid>,
}

/// What a valid token says.
#[derive(Clone)]
struct Valid {
    caller: Caller,
    /// Seconds since 1970, as the next.
    issued: u64,
    expires: u64,
}

impl Verifier {
    /// Reads the public keys.
    pub fn new(settings: &AuthSettings) -> Result<Self, Error> {
        let mut members = Vec::new();
        if !settings.jwks.is_empty() {
            let set: JwkSet = serde_json::from_str(&settings.jwks)
                .map_err(|error| unusable("auth.jwks", error))?;
            for jwk in &set.keys {
                let key = DecodingKey::from_jwk(jwk).map_err(|e| unusable("auth.jwks", e))?;
                members.push((jwk.common.key_id.clone(), key));
            }
        }
        let mut internal = Vec::new();
        for (owner, jwk) in owned(settings)? {
            let key = DecodingKey::from_jwk(&jwk).map_err(|e| unusable(OWNED, e))?;
            internal.push((owner, key));
        }
        let shared = if settings.service_key.expose().is_empty() {
            None
        } else {
            let jwk = public_jwk("auth.service_key", &settings.service_key)?;
            Some(DecodingKey::from_jwk(&jwk).map_err(|e| unusable("auth.service_key", e))?)
        };
        Ok(Self(Arc::new(Keys { members, internal, shared, valid: Cache::new(REMEMBERED) })))
    }

    /// Who sent this `authorization` header.
    pub fn caller(&self, authorization: Option<&str>) -> Result<Caller, Error> {
        self.verify(authorization).map(|(caller, _)| caller)
    }

    /// The same, and when the token was issued, in seconds since 1970.
    pub(crate) fn verify(&self, authorization: Option<&str>) -> Result<(Caller, u64), Error> {
        let Some(value) = authorization else { return Ok((Caller::Anonymous, 0)) };
        let token = match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(unauthenticated("the authorization header must be `Bearer <token>`")),
        };
        let now = seconds(SystemTime::now());
        if let Some(valid) = self.0.valid.get(token).filter(|valid| valid.expires > now) {
            return Ok((valid.caller, valid.issued));
        }
        let valid = self.check(token)?;
        self.0.valid.insert(token.into(), valid.clone());
        Ok((valid.caller, valid.issued))
    }

    fn check(&self, token: &str) -> Result<Valid, Error> {
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| unauthenticated("not a token"))?;
        // Before any key is looked up: only one algorithm is ever right.
        if header.alg != Algorithm::EdDSA {
            return Err(unauthenticated("the token's algorithm is not EdDSA"));
        }
        if let Some(kid) = header.kid.as_deref().filter(|kid| *kid == SHARED || is_owner(kid)) {
            let claims = self.internal(token, kid)?;
            let caller = internal_caller(&claims)?;
            return Ok(Valid { caller, issued: claims.iat, expires: claims.exp });
        }
        let key = self.0.members.iter().find(|(kid, _)| kid.is_none() || *kid == header.kid);
        let (_, key) = key.ok_or_else(|| unauthenticated("the token's key is not known"))?;
        let claims = decode(token, key, MEMBERS)?;
        let id = Uuid::try_parse(&claims.sub).map_err(|_| unauthenticated("not a member"))?;
        let caller = Caller::Member { id, roles: claims.roles };
        Ok(Valid { caller, issued: claims.iat, expires: claims.exp })
    }

    /// What the token of a service or an operator says. One that names a key of its own speaks for
    /// the owner of that key alone; while keys are replaced, an owner has two.
    fn internal(&self, token: &str, kid: &str) -> Result<Claims, Error> {
        let Keys { internal, shared, .. } = &*self.0;
        if internal.is_empty() && shared.is_none() {
            return Err(unauthenticated("tokens of services are not taken here"));
        }
        let own = internal.iter().filter(|(owner, _)| speaks_for(owner, kid)).map(|(_, key)| key);
        let keys = own.chain(shared.iter().filter(|_| kid == SHARED));
        let unknown = Err(unauthenticated("the token's key is not known"));
        let claims =
            keys.fold(unknown, |claims, key| claims.or_else(|_| decode(token, key, INTERNAL)))?;
        if kid != SHARED && claims.sub != kid {
            return Err(unauthenticated("the token's key is not its subject's"));
        }
        Ok(claims)
    }
}

/// Where the public keys of services and operators are.
const OWNED: &str = "auth.services_jwks";
/// Whose key speaks for every operator.
const OPERATOR: &str = "operator";

/// The public keys of services and operators, each with whose it is.
fn owned(settings: &AuthSettings) -> Result<Vec<(String, Jwk)>, Error> {
    if settings.services_jwks.is_empty() {
        return Ok(Vec::new());
    }
    let set: JwkSet =
        serde_json::from_str(&settings.services_jwks).map_err(|error| unusable(OWNED, error))?;
    let owned = set.keys.into_iter().map(|jwk| {
        let kid = jwk.common.key_id.as_deref().unwrap_or_default();
        // What follows tells several keys of one owner apart.
        let owner = kid.split('#').next().unwrap_or_default();
        if !is_owner(owner) {
            let told = format!("the kid {kid:?} is neither service:<name> nor operator");
            return Err(unusable(OWNED, told));
        }
        Ok((owner.to_owned(), jwk))
    });
    owned.collect()
}

fn is_owner(name: &str) -> bool {
    let of = |kind| name.strip_prefix(kind).is_some_and(|name: &str| !name.is_empty());
    name == OPERATOR || of("service:") || of("operator:")
}

/// Whether the key of `owner` may have signed what the subject of a token says.
fn speaks_for(owner: &str, subject: &str) -> bool {
    owner == subject || (owner == OPERATOR && subject.starts_with("operator:"))
}

pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn internal_caller(claims: &Claims) -> Result<Caller, Error> {
    match claims.sub.split_once(':') {
        Some(("service", name)) => {
            Ok(Caller::Service { name: name.into(), on_behalf_of: claims.on_behalf_of })
        }
        Some(("operator", name)) => Ok(Caller::Operator(name.into())),
        _ => Err(unauthenticated("neither a service nor an operator")),
    }
}

fn decode(token: &str, key: &DecodingKey, audience: &str) -> Result<Claims, Error> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = 5;
    jsonwebtoken::decode(token, key, &validation).map(|data| data.claims).map_err(|error| {
        match error.kind() {
            jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                unauthenticated("the token has expired: sign in again")
            }
            _ => unauthenticated("the token is not valid"),
        }
    })
}

fn unusable(name: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "CONFIGURATION", format!("{name}: {error}"))
}

fn unauthenticated(detail: &str) -> Error {
    Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", detail)
}

#[cfg(test)]
mod tests {
    use settings::Secret;

    use super::*;

    /// Signs in these tests, and nowhere else.
    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIIyGe021yBkxVNQNRddBWim0CI2Y09LuJCG5UDjz7MaX
-----END PRIVATE KEY-----
";

    fn settings() -> AuthSettings {
        let key = Secret::new(KEY);
        let jwk = public_jwk("key", &key).expect("the key is one");
        let jwks = serde_json::json!({ "keys": [jwk] }).to_string();
        AuthSettings { jwks, signing_key: key.clone(), service_key: key, ..AuthSettings::default() }
    }

    /// A member's token that is good for so long from now on.
    fn token(good_for: Duration) -> (Uuid, String) {
        let settings = settings();
        let signed_in = SystemTime::now() + good_for - Duration::from_secs(settings.token_ttl_s);
        let id = Uuid::now_v7();
        let issuer = Issuer::new(&settings).expect("the key is one");
        let (token, _) = issuer.issue(id, vec![Role::Member], signed_in).expect("signs");
        (id, format!("Bearer {token}"))
    }

    #[test]
    fn a_token_is_remembered_and_only_as_it_was() {
        let verifier = Verifier::new(&settings()).expect("the keys are right");
        let (id, token) = token(Duration::from_mins(1));
        let member = Caller::Member { id, roles: vec![Role::Member] };
        for _ in 0..2 {
            assert_eq!(verifier.caller(Some(&token)).expect("valid"), member);
        }
        assert_eq!(verifier.0.valid.len(), 1);
        let (changed, _) = token.rsplit_once('.').expect("three parts");
        let (_, others) = self::token(Duration::from_mins(1));
        let (_, signature) = others.rsplit_once('.').expect("three parts");
        for wrong in [format!("{changed}.{signature}"), token.replace("Bearer ", "Bearer x")] {
            assert!(verifier.caller(Some(&wrong)).is_err(), "{wrong}");
        }
        assert_eq!(verifier.0.valid.len(), 1, "nothing wrong is remembered");
    }

    #[test]
    fn a_remembered_token_is_checked_again_once_it_has_expired() {
        let verifier = Verifier::new(&settings()).expect("the keys are right");
        let (id, token) = token(Duration::from_mins(1));
        let bare = token.trim_start_matches("Bearer ");
        let past = seconds(SystemTime::now()) - 60;
        let caller = Caller::Member { id: Uuid::nil(), roles: vec![Role::Admin] };
        verifier.0.valid.insert(bare.into(), Valid { caller, issued: past, expires: past });
        let checked = verifier.caller(Some(&token)).expect("valid");
        assert_eq!(checked, Caller::Member { id, roles: vec![Role::Member] });
    }
}
