//! What the files hold. An error names the setting and the file.

use std::path::{Path, PathBuf};

use base::{Error, error::configuration};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Where a certificate is, with the chain that proves it, and its private key.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Where the settings name it.
    pub(crate) setting: &'static str,
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    pub(crate) fn at(setting: &'static str, cert: &Path, key: &Path) -> Self {
        Self { setting, cert: cert.to_owned(), key: key.to_owned() }
    }

    /// As it is now.
    pub(crate) fn read(
        &self,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let chain = certificates(self.setting, &self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key);
        Ok((chain, key.map_err(|error| unreadable(self.setting, &self.key, error))?))
    }

    pub(crate) fn unusable(&self, error: impl std::fmt::Display) -> Error {
        unreadable(self.setting, &self.cert, error)
    }
}

/// The authorities of a file, which `setting` names; without one, those that the system trusts.
pub fn roots(setting: &str, path: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        return Ok(roots);
    };
    for certificate in certificates(setting, path)? {
        roots.add(certificate).map_err(|error| unreadable(setting, path, error))?;
    }
    Ok(roots)
}

fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |error: &dyn std::fmt::Display| unreadable(setting, path, error);
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(unreadable(&"holds no certificate"));
    }
    Ok(certificates)
}

fn unreadable(setting: &str, path: &Path, error: impl std::fmt::Display) -> Error {
    configuration(format!("{setting}: {}: {error}", path.display()))
}
