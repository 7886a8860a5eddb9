//! Keys and tokens: who signs with what, and what everybody verifies with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Secret;

/// Keys and tokens. All private keys are Ed25519, in PKCS#8 and PEM. Verification needs no running
/// member service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// The public keys of members' tokens: a JWK set (RFC 7517).
    pub jwks: String,
    /// Signs members' tokens. For the member service alone.
    pub signing_key: Secret,
    /// The public keys of services and operators: a JWK set. A key's `kid` says whose it is:
    /// `service:order`, or `operator`. Several of one owner differ in what follows a `#`
    /// (`service:order#2`), while one replaces the other.
    pub services_jwks: String,
    /// Sign services' tokens, by service. A process has those of the services that it runs, and no
    /// other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub service_keys: BTreeMap<String, Secret>,
    /// Signs operators' tokens. For no process of a deployment, but for `hansang token` and the like.
    pub operator_key: Secret,
    /// One key for all: signs the tokens of whoever has no key of their own, and verifies them. For
    /// deployments that have no `services_jwks` yet; who has this key can speak as any service.
    pub service_key: Secret,
    /// How long a member's token is good for, in seconds.
    pub token_ttl_s: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            jwks: String::new(),
            signing_key: Secret::default(),
            services_jwks: String::new(),
            service_keys: BTreeMap::new(),
            operator_key: Secret::default(),
            service_key: Secret::default(),
            token_ttl_s: 900,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn each_service_has_a_key_of_its_own_from_a_file_of_its_own() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("order.pem");
        std::fs::write(&file, "PEM").expect("write");
        let path = file.display().to_string();
        let key = "HANSANG__AUTH__SERVICE_KEYS__ORDER_FILE";
        let settings = Settings::load(None, [(key.to_owned(), path)], []).expect("loads");
        assert_eq!(settings.auth.service_keys["order"].expose(), "PEM");
        assert!(!format!("{settings:?}").contains("PEM"));
        settings.check_services(&["order"]).expect("there is one");
        let error = settings.check_services(&["payment"]).expect_err("there is none");
        assert!(error.to_string().contains("auth.service_keys.order"), "{error}");
    }
}
