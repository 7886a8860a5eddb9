//! The keys of an installation that nobody has given any: made once, kept in
//! the data directory, readable by its owner alone. Checks no token.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::{encoding::AsDer as _, signature::Ed25519KeyPair};
use settings::Secret;

use crate::data_dir::write_private;

/// Where the keys of a data directory are.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Signs members' tokens: Ed25519, PKCS#8, PEM.
    pub signing_key: PathBuf,
    /// Its public half, as a JWK set.
    pub jwks: PathBuf,
    /// Signs and checks the tokens of services: Ed25519, PKCS#8, PEM.
    pub service_key: PathBuf,
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
        let keys = Self {
            signing_key: dir.join("signing_key.pem"),
            jwks: dir.join("jwks.json"),
            service_key: service_key(data_dir),
        };
        for private in [&keys.signing_key, &keys.service_key] {
            if !private.exists() {
                write_private(private, generate()?.as_bytes())?;
            }
        }
        // Written each time: it cannot be anything but the public half of the key beside it.
        let pem = fs::read_to_string(&keys.signing_key)
            .with_context(|| format!("cannot read {}", keys.signing_key.display()))?;
        let jwk =
            identity::auth::public_jwk(&keys.signing_key.to_string_lossy(), &Secret::new(pem))?;
        let set = serde_json::json!({ "keys": [jwk] });
        write_private(&keys.jwks, format!("{set:#}\n").as_bytes())?;
        Ok(keys)
    }
}

/// Where a data directory has the key of the services.
pub(crate) fn service_key(data_dir: &Path) -> PathBuf {
    data_dir.join("keys/service_key.pem")
}

fn generate() -> Result<String> {
    let key = Ed25519KeyPair::generate().map_err(|_| anyhow!("cannot generate a key"))?;
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        key.as_der().map_err(|_| anyhow!("cannot encode a key"))?;
    Ok(pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_match() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Keys::ensure(dir.path()).unwrap();
        let signing = fs::read_to_string(&keys.signing_key).unwrap();
        let jwks = fs::read_to_string(&keys.jwks).unwrap();
        assert_ne!(signing, fs::read_to_string(&keys.service_key).unwrap());
        assert!(jwks.contains("Ed25519"), "{jwks}");
        assert!(!jwks.contains(r#""d""#), "a private part in {jwks}");
        Keys::ensure(dir.path()).unwrap();
        assert_eq!(signing, fs::read_to_string(&keys.signing_key).unwrap());
        assert_eq!(jwks, fs::read_to_string(&keys.jwks).unwrap());
    }
}
