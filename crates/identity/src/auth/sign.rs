//! Signing: members' tokens by the one service that issues them, and the tokens that
//! services and operators make for themselves. Verifies nothing.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::Error;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use quick_cache::sync::Cache;
use rpc::Credentials;
use settings::{AuthSettings, Secret};
use tonic::metadata::{Ascii, MetadataValue};
use uuid::Uuid;

use super::{Claims, INTERNAL, MEMBERS, OWNED, Role, SHARED, owned, speaks_for, unusable};

const INTERNAL_TTL: Duration = Duration::from_mins(5);
/// Members for whom a service keeps a token that it has signed.
const ACTING_FOR: usize = 1_000;

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
    kid: String,
    key: EncodingKey,
    current: Cache<Option<Uuid>, Signed>,
}

/// A header's value, and when it is to be made anew.
type Signed = (MetadataValue<Ascii>, SystemTime);

impl Identity {
    /// The identity of the service `name`, by its own key, or by the one that all share.
    pub fn service(name: &str, settings: &AuthSettings) -> Result<Self, Error> {
        let own = settings.service_keys.get(name).cloned().unwrap_or_default();
        let setting = format!("auth.service_keys.{name}");
        Self::new(format!("service:{name}"), &setting, own, settings)
    }

    /// The identity of a person who runs the system, likewise.
    pub fn operator(name: &str, settings: &AuthSettings) -> Result<Self, Error> {
        let own = settings.operator_key.clone();
        Self::new(format!("operator:{name}"), "auth.operator_key", own, settings)
    }

    fn new(
        subject: String,
        setting: &str,
        own: Secret,
        settings: &AuthSettings,
    ) -> Result<Self, Error> {
        let (kid, setting, key) =
            if own.expose().is_empty() && !settings.service_key.expose().is_empty() {
                (SHARED.to_owned(), "auth.service_key", settings.service_key.clone())
            } else {
                check_published(&subject, setting, &own, settings)?;
                (subject.clone(), setting, own)
            };
        let key = private_key(setting, &key)?;
        Ok(Self(Arc::new(Own { subject, kid, key, current: Cache::new(ACTING_FOR) })))
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
        let token = sign(&self.0.key, Some(self.0.kid.clone()), &claims)?;
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

/// Refuses a key that the set does not have for its owner: whoever has the same set would refuse what
/// it signs.
fn check_published(
    subject: &str,
    setting: &str,
    own: &Secret,
    settings: &AuthSettings,
) -> Result<(), Error> {
    let public = public_jwk(setting, own)?.algorithm;
    let keys = owned(settings)?;
    let published =
        keys.iter().any(|(owner, jwk)| speaks_for(owner, subject) && jwk.algorithm == public);
    if published || keys.is_empty() {
        return Ok(());
    }
    Err(unusable(setting, format!("{OWNED} has no such key of {subject}")))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{
        super::{Caller, Verifier},
        *,
    };

    /// Sign in these tests, and nowhere else.
    const KEYS: [&str; 3] = [
        "MC4CAQAwBQYDK2VwBCIEIIyGe021yBkxVNQNRddBWim0CI2Y09LuJCG5UDjz7MaX",
        "MC4CAQAwBQYDK2VwBCIEIArhIyR5QWT7yJJsEJHpnV9Z8LNOdBtLvEGFTymCMY7d",
        "MC4CAQAwBQYDK2VwBCIEIIJ/s7yfLEFRrpyP8wOQ9Jxtac2vuRWLySVlAzC54kJl",
    ];

    fn key(number: usize) -> Secret {
        let base64 = KEYS[number];
        Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n"))
    }

    /// A set of public keys, by their ids.
    fn set(keys: &[(&str, usize)]) -> String {
        let jwk = |(kid, number): &(&str, usize)| {
            let mut jwk = public_jwk("key", &key(*number)).expect("a key");
            jwk.common.key_id = Some((*kid).to_owned());
            jwk
        };
        serde_json::json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
    }

    /// Whoever knows these public keys.
    fn everybody(keys: &[(&str, usize)]) -> AuthSettings {
        AuthSettings { services_jwks: set(keys), ..AuthSettings::default() }
    }

    /// A service that signs with that key.
    fn signs(service: &str, number: usize) -> AuthSettings {
        let service_keys = BTreeMap::from([(service.to_owned(), key(number))]);
        AuthSettings { service_keys, ..AuthSettings::default() }
    }

    fn hear(identity: &Identity, by: &AuthSettings) -> Result<Caller, String> {
        let bearer = identity.bearer(SystemTime::now()).expect("signs");
        let bearer = bearer.to_str().expect("ascii");
        Verifier::new(by).expect("keys").caller(Some(bearer)).map_err(|error| error.to_string())
    }

    fn service(name: &str) -> Caller {
        Caller::Service { name: name.to_owned(), on_behalf_of: None }
    }

    #[test]
    fn a_service_speaks_as_itself_alone() {
        let all = everybody(&[("service:kitchen", 0), ("service:cellar", 1), ("operator", 2)]);
        let own = Identity::service("kitchen", &signs("kitchen", 0)).expect("an identity");
        assert_eq!(hear(&own, &all), Ok(service("kitchen")));
        // Its own key under another's name, in the header, in the claims, and in both.
        let now = SystemTime::now();
        for (kid, subject) in [
            ("service:kitchen", "service:cellar"),
            ("service:cellar", "service:kitchen"),
            ("service:cellar", "service:cellar"),
            ("operator:kim", "operator:kim"),
            ("service:kitchen", "operator:kim"),
            ("operator", "operator"),
            ("internal", "service:kitchen"),
        ] {
            let private = private_key("key", &key(0)).expect("a key");
            let claims = Claims::new(INTERNAL, subject.to_owned(), now, INTERNAL_TTL);
            let token = sign(&private, Some(kid.to_owned()), &claims).expect("signs");
            let verifier = Verifier::new(&all).expect("keys");
            verifier.caller(Some(&format!("Bearer {token}"))).expect_err(subject);
        }
    }

    #[test]
    fn operators_share_a_key_or_have_one_each() {
        let named = |name| {
            let auth = AuthSettings { operator_key: key(2), ..AuthSettings::default() };
            Identity::operator(name, &auth).expect("an identity")
        };
        let (kim, lee) = (Caller::Operator("kim".to_owned()), Caller::Operator("lee".to_owned()));
        let all = everybody(&[("operator", 2)]);
        assert_eq!(
            (hear(&named("kim"), &all), hear(&named("lee"), &all)),
            (Ok(kim.clone()), Ok(lee))
        );
        let one = everybody(&[("operator:kim", 2)]);
        assert_eq!(hear(&named("kim"), &one), Ok(kim));
        hear(&named("lee"), &one).expect_err("another's key");
    }

    #[test]
    fn a_key_is_replaced_with_both_known_meanwhile() {
        let old = Identity::service("kitchen", &signs("kitchen", 0)).expect("an identity");
        let new = Identity::service("kitchen", &signs("kitchen", 1)).expect("an identity");
        let both = [("service:kitchen", 0), ("service:kitchen#2", 1)];
        for keys in [both, [both[1], both[0]]] {
            let all = everybody(&keys);
            assert_eq!(hear(&old, &all), Ok(service("kitchen")));
            assert_eq!(hear(&new, &all), Ok(service("kitchen")));
        }
        hear(&old, &everybody(&both[1..])).expect_err("it was removed");
        assert_eq!(hear(&new, &everybody(&both[1..])), Ok(service("kitchen")));
    }

    #[test]
    fn a_key_that_nobody_would_know_is_refused_at_the_start() {
        let auth =
            AuthSettings { services_jwks: set(&[("service:cellar", 0)]), ..signs("kitchen", 0) };
        let Err(refusal) = Identity::service("kitchen", &auth) else { panic!("took it") };
        assert!(refusal.to_string().contains("auth.service_keys.kitchen"), "{refusal}");
        let Err(refusal) = Identity::service("cellar", &auth) else { panic!("has no key") };
        assert!(refusal.to_string().contains("auth.service_keys.cellar: is not set"), "{refusal}");
        let Err(refusal) = Verifier::new(&everybody(&[("kitchen", 0)])) else { panic!("took it") };
        assert!(refusal.to_string().contains("kitchen"), "{refusal}");
    }

    #[test]
    fn a_deployment_goes_over_from_one_key_for_all_step_by_step() {
        let shared = |auth| AuthSettings { service_key: key(2), ..auth };
        let own = || signs("kitchen", 0);
        let know = |auth: AuthSettings| AuthSettings {
            services_jwks: set(&[("service:kitchen", 0)]),
            ..auth
        };
        let none = AuthSettings::default;
        let steps = [shared(none()), shared(know(none())), shared(know(own())), know(own())];
        for two in steps.windows(2) {
            for (caller, callee) in [(&two[0], &two[1]), (&two[1], &two[0])] {
                let identity = Identity::service("kitchen", caller).expect("an identity");
                assert_eq!(hear(&identity, callee), Ok(service("kitchen")));
            }
        }
    }
}
