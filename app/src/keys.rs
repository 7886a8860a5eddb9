//! The keys of an installation that nobody has given any: made once, kept in
//! the data directory, readable by its owner alone. Checks no token.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::{encoding::AsDer as _, signature::Ed25519KeyPair};
use identity::auth::public_jwk;
use serde_json::Value;
use settings::{AuthSettings, Secret};

use crate::{data_dir::write_private, run::SERVICES};

/// Where the keys of a data directory are. The private ones are Ed25519, PKCS#8, PEM.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs members' tokens.
    pub signing_key: PathBuf,
    /// Its public half, as a JWK set.
    pub jwks: PathBuf,
    /// Sign the tokens of services, by service.
    pub service_keys: BTreeMap<&'static str, PathBuf>,
    /// Signs operators' tokens.
    pub operator_key: PathBuf,
    /// The public halves of services' and operators' keys, as a JWK set.
    pub services_jwks: PathBuf,
}

impl Keys {
    /// The keys in `<data_dir>/keys`; those that are missing are made.
    pub fn ensure(data_dir: &Path) -> Result<Self> {
        let dir = data_dir.join("keys");
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).context(format!("cannot create {}", dir.display()));
            }
            Ok(()) | Err(_) => {}
        }
        let own = |name: &'static str| (name, dir.join(format!("service_key.{name}.pem")));
        let keys = Self {
            signing_key: dir.join("signing_key.pem"),
            jwks: dir.join("jwks.json"),
            service_keys: SERVICES.iter().map(|service| own(service.name)).collect(),
            operator_key: operator_key(data_dir),
            services_jwks: dir.join("services_jwks.json"),
        };
        let private = [&keys.signing_key, &keys.operator_key];
        for private in private.into_iter().chain(keys.service_keys.values()) {
            if !private.exists() {
                write_private(private, generate()?.as_bytes())?;
            }
        }
        // Written each time: they cannot be anything but the public halves of the keys beside them.
        write_set(&keys.jwks, &[public(&keys.signing_key, None)?])?;
        let services = keys.service_keys.iter();
        let services = services.map(|(name, key)| public(key, Some(format!("service:{name}"))));
        let operator = public(&keys.operator_key, Some("operator".to_owned()));
        let set: Vec<_> = services.chain([operator]).collect::<Result<_>>()?;
        write_set(&keys.services_jwks, &set)?;
        Ok(keys)
    }

    /// The settings of a process that runs everything.
    pub fn settings(&self) -> Result<AuthSettings> {
        let secret = |path: &Path| read(path).map(Secret::new);
        let own = |(name, path): (&&str, &PathBuf)| Ok(((*name).to_owned(), secret(path)?));
        Ok(AuthSettings {
            jwks: read(&self.jwks)?,
            signing_key: secret(&self.signing_key)?,
            services_jwks: read(&self.services_jwks)?,
            service_keys: self.service_keys.iter().map(own).collect::<Result<_>>()?,
            operator_key: secret(&self.operator_key)?,
            ..AuthSettings::default()
        })
    }
}

/// Where a data directory has the key of operators.
pub(crate) fn operator_key(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/operator_key.pem")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The public half of a key, as a JWK; its id is its thumbprint where none is given.
fn public(key: &Path, kid: Option<String>) -> Result<Value> {
    let mut jwk = public_jwk(&key.to_string_lossy(), &Secret::new(read(key)?))?;
    jwk.common.key_id = kid.or(jwk.common.key_id);
    Ok(serde_json::to_value(jwk)?)
}

fn write_set(path: &Path, keys: &[Value]) -> Result<()> {
    write_private(path, format!("{:#}\n", serde_json::json!({ "keys": keys })).as_bytes())
}

/// A new private key: Ed25519, PKCS#8, PEM.
pub fn generate() -> Result<String> {
    let key = Ed25519KeyPair::generate().map_err(|_| anyhow!("cannot generate a key"))?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        key.as_der().map_err(|_| anyhow!("cannot encode a key"))?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_made_once_and_match() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::ensure(dir.path()).unwrap();
        let auth = keys.settings().unwrap();
        let private = auth.service_keys.values().chain([&auth.signing_key, &auth.operator_key]);
        let different: BTreeSet<_> = private.map(Secret::expose).collect();
        assert_eq!(different.len(), SERVICES.len() + 2);
        for public in [&auth.jwks, &auth.services_jwks] {
            assert!(public.contains("Ed25519"), "{public}");
            assert!(!public.contains(r#""d""#), "a private part in {public}");
        }
        let again = Keys::ensure(dir.path()).unwrap().settings().unwrap();
        assert_eq!(auth.signing_key.expose(), again.signing_key.expose());
        assert_eq!((auth.jwks, auth.services_jwks), (again.jwks, again.services_jwks));
    }
}
