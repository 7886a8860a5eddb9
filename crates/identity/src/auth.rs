//! Who is calling. Members carry tokens that the member service signed;
//! services carry short-lived tokens that they sign themselves with a key that
//! only services have. Says nothing about what a caller may do: see `access`.
//!
//! Tokens are JWTs (RFC 7519) signed with `EdDSA` over Ed25519 (RFC 8037);
//! public keys are a JWK set (RFC 7517).

use std::{
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::{Error, error::Kind};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{Jwk, JwkSet},
};
use quick_cache::sync::Cache;
use rpc::Credentials;
use serde::{Deserialize, Serialize};
use settings::{AuthSettings, Secret};
use tonic::metadata::{Ascii, MetadataValue};
use uuid::Uuid;

const ISSUER: &str = "hansang";
const MEMBERS: &str = "hansang";
const INTERNAL: &str = "internal";
const INTERNAL_TTL: Duration = Duration::from_mins(5);

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
/// Members for whom a service keeps a token that it has signed.
const ACTING_FOR: usize = 1_000;

/// Checks tokens. Remembers those that it found valid until they expire: checking a signature
/// costs more than all else that is done for a small request.
#[derive(Clone)]
pub struct Verifier(Arc<Keys>);

struct Keys {
    members: Vec<(Option<String>, DecodingKey)>,
    services: Option<DecodingKey>,
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
        let services = if settings.service_key.expose().is_empty() {
            None
        } else {
            let jwk = public_jwk("auth.service_key", &settings.service_key)?;
            Some(DecodingKey::from_jwk(&jwk).map_err(|e| unusable("auth.service_key", e))?)
        };
        Ok(Self(Arc::new(Keys { members, services, valid: Cache::new(REMEMBERED) })))
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
        if header.kid.as_deref() == Some(INTERNAL) {
            let key = self.0.services.as_ref();
            let key =
                key.ok_or_else(|| unauthenticated("tokens of services are not taken here"))?;
            let claims = decode(token, key, INTERNAL)?;
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

/// Signs members' tokens; for the member service alone.
#[derive(Clone)]
pub struct Issuer {
    key: EncodingKey,
    kid: Option<String>,
    ttl: Duration,
}

impl Issuer {
    /// Reads the private key, and its id from the key set.
    pub fn new(settings: &AuthSettings) -> Result<Self, Error> {
        let key = private_key("auth.signing_key", &settings.signing_key)?;
        let kid = public_jwk("auth.signing_key", &settings.signing_key)?.common.key_id;
        Ok(Self { key, kid, ttl: Duration::from_secs(settings.token_ttl_s) })
    }

    /// A token for a member as they are at `now`, and when it expires. Who reads their roles does so
    /// after `now`: tokens from before a role was taken back are void.
    pub fn issue(
        &self,
        member: Uuid,
        roles: Vec<Role>,
        now: SystemTime,
    ) -> Result<(String, SystemTime), Error> {
        let claims = Claims { roles, ..Claims::new(MEMBERS, member.to_string(), now, self.ttl) };
        Ok((sign(&self.key, self.kid.clone(), &claims)?, now + self.ttl))
    }
}

/// A service's own identity towards other services.
#[derive(Clone)]
pub struct Identity(Arc<Own>);

struct Own {
    subject: String,
    key: EncodingKey,
    current: Cache<Option<Uuid>, Signed>,
}

/// A header's value, and when it is to be made anew.
type Signed = (MetadataValue<Ascii>, SystemTime);

impl Identity {
    /// The identity of the service `name`.
    pub fn service(name: &str, settings: &AuthSettings) -> Result<Self, Error> {
        Self::new(format!("service:{name}"), settings)
    }

    /// The identity of a person who runs the system.
    pub fn operator(name: &str, settings: &AuthSettings) -> Result<Self, Error> {
        Self::new(format!("operator:{name}"), settings)
    }

    fn new(subject: String, settings: &AuthSettings) -> Result<Self, Error> {
        let key = private_key("auth.service_key", &settings.service_key)?;
        Ok(Self(Arc::new(Own { subject, key, current: Cache::new(ACTING_FOR) })))
    }

    /// The value of an `authorization` header, for what is done for nobody in particular. Good for
    /// minutes; made anew when half its time is over.
    pub fn bearer(&self, now: SystemTime) -> Result<MetadataValue<Ascii>, Error> {
        self.bearer_for(now, None)
    }

    /// The same, for what is done on behalf of a member.
    pub fn bearer_for(
        &self,
        now: SystemTime,
        on_behalf_of: Option<Uuid>,
    ) -> Result<MetadataValue<Ascii>, Error> {
        let current = self.0.current.get(&on_behalf_of);
        if let Some((value, _)) = current.filter(|(_, renew_at)| now < *renew_at) {
            return Ok(value);
        }
        let claims = Claims::new(INTERNAL, self.0.subject.clone(), now, INTERNAL_TTL);
        let claims = Claims { on_behalf_of, ..claims };
        let token = sign(&self.0.key, Some(INTERNAL.into()), &claims)?;
        let value = MetadataValue::try_from(format!("Bearer {token}"))
            .map_err(|error| Error::internal(error.to_string()))?;
        self.0.current.insert(on_behalf_of, (value.clone(), now + INTERNAL_TTL / 2));
        Ok(value)
    }
}

impl Credentials for Identity {
    fn authorization(
        &self,
        now: SystemTime,
        on_behalf_of: Option<Uuid>,
    ) -> Result<MetadataValue<Ascii>, Error> {
        self.bearer_for(now, on_behalf_of)
    }
}

fn sign(key: &EncodingKey, kid: Option<String>, claims: &Claims) -> Result<String, Error> {
    let header = Header { kid, ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, key).map_err(|e| Error::internal(e.to_string()))
}

/// The public half of an Ed25519 key in PEM, as a JWK whose id is its thumbprint (RFC 7638).
pub fn public_jwk(name: &str, pem: &Secret) -> Result<Jwk, Error> {
    let key = private_key(name, pem)?;
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(|e| unusable(name, e))?;
    let thumbprint = jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256);
    jwk.common.key_id = Some(thumbprint.map_err(|e| unusable(name, e))?);
    Ok(jwk)
}

fn private_key(name: &str, pem: &Secret) -> Result<EncodingKey, Error> {
    if pem.expose().is_empty() {
        return Err(unusable(name, "is not set"));
    }
    EncodingKey::from_ed_pem(pem.expose().as_bytes()).map_err(|error| unusable(name, error))
}

fn unusable(name: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Invalid, "CONFIGURATION", format!("{name}: {error}"))
}

fn unauthenticated(detail: &str) -> Error {
    Error::new(Kind::Unauthenticated, "UNAUTHENTICATED", detail)
}

#[cfg(test)]
mod tests {
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
