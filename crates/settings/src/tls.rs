//! TLS of listeners and of calls between services. All of it is in files, by their
//! paths, which are read again when they change.

use std::path::PathBuf;

use base::{Error, error::configuration};
use serde::{Deserialize, Serialize};

/// TLS of a listener: with a certificate, whoever comes without TLS is refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenTls {
    /// The certificate and the chain that proves it, in PEM. None: no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_path: Option<PathBuf>,
    /// Its private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<PathBuf>,
    /// The authorities of clients' certificates, in PEM: who has no certificate of theirs is refused.
    /// None: clients need no certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ca_path: Option<PathBuf>,
}

impl ListenTls {
    pub(crate) fn check(&self, at: &str) -> Result<(), Error> {
        both(at, self.cert_path.as_ref(), self.key_path.as_ref())?;
        if self.client_ca_path.is_some() && self.cert_path.is_none() {
            return Err(configuration(format!("{at}.client_ca_path: needs a cert_path")));
        }
        Ok(())
    }
}

/// TLS of calls to services at `https` addresses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PeerTls {
    /// The authorities of the services' certificates, in PEM. None: those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_path: Option<PathBuf>,
    /// The certificate to show to services that ask for one, with its chain, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_path: Option<PathBuf>,
    /// Its private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_path: Option<PathBuf>,
}

impl PeerTls {
    pub(crate) fn check(&self) -> Result<(), Error> {
        both("peers.tls", self.cert_path.as_ref(), self.key_path.as_ref())
    }
}

fn both(at: &str, cert: Option<&PathBuf>, key: Option<&PathBuf>) -> Result<(), Error> {
    if cert.is_some() == key.is_some() {
        return Ok(());
    }
    Err(configuration(format!("{at}: cert_path and key_path belong together")))
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn a_certificate_comes_with_its_key() {
        for (variable, word) in [
            ("HANSANG__GRPC__TLS__CERT_PATH", "grpc.tls"),
            ("HANSANG__HTTP__TLS__KEY_PATH", "http.tls"),
            ("HANSANG__HTTP__TLS__CLIENT_CA_PATH", "http.tls.client_ca_path"),
            ("HANSANG__PEERS__TLS__CERT_PATH", "peers.tls"),
        ] {
            let env = [(variable.to_owned(), "x.pem".to_owned())];
            let error = Settings::load(None, env, []).expect_err("half of it").to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
