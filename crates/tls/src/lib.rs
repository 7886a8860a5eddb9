//! TLS of listeners and of calls between processes, by rustls. Certificates, keys and authorities
//! come from files in PEM. Those are looked at when a connection is made, and read again once they
//! have changed, so whoever renews them restarts nothing; open connections go on.
//!
//! ```no_run
//! use settings::{ListenTls, PeerSettings};
//! use tls::{Acceptor, Connector};
//!
//! # async fn example(listener: tokio::net::TcpListener) -> Result<(), Box<dyn std::error::Error>> {
//! let certificate = ListenTls {
//!     cert_path: Some("tls.crt".into()),
//!     key_path: Some("tls.key".into()),
//!     ..ListenTls::default()
//! };
//! if let Some(acceptor) = Acceptor::of("grpc.tls", &certificate, &["h2"])? {
//!     let (socket, _) = listener.accept().await?;
//!     let _stream = acceptor.accept(socket).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It refuses to go without verification: a server is who its certificate says, by an authority that
//! is trusted. Where no TLS is configured there is nothing of it.

mod files;
mod reload;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use base::{Error, error::configuration};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::ServerName,
    server::WebPkiClientVerifier,
};
use settings::{ListenTls, PeerSettings, PeerTls};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

pub use self::files::roots;
use self::{files::Certificate, reload::Reloading};

/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A connection that was accepted.
pub type Accepted = server::TlsStream<TcpStream>;
/// A connection that was made.
pub type Connected = client::TlsStream<TcpStream>;

/// Accepts connections of a listener. Clones share the certificate.
#[derive(Clone, Debug)]
pub struct Acceptor(Arc<Reloading<ServerConfig>>);

impl Acceptor {
    /// What `settings` say, which `at` is the name of; none where they name no certificate. `protocols`
    /// are those that the listener speaks, the best first.
    pub fn of(
        at: &'static str,
        settings: &ListenTls,
        protocols: &[&str],
    ) -> Result<Option<Self>, Error> {
        let ListenTls { cert_path: Some(cert), key_path: Some(key), client_ca_path } = settings
        else {
            return Ok(None);
        };
        let files = [cert, key].into_iter().chain(client_ca_path).cloned().collect();
        let protocols: Vec<_> = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let (certificate, clients) = (Certificate::at(at, cert, key), client_ca_path.clone());
        let make = move || listen(&certificate, clients.as_ref(), &protocols);
        Ok(Some(Self(Arc::new(Reloading::of(files, make)?))))
    }

    /// Accepts one connection.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<Accepted> {
        let accepting = TlsAcceptor::from(self.0.current()).accept(socket);
        timeout(HANDSHAKE, accepting).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

/// Connects to services. Clones share certificates and authorities.
#[derive(Clone, Debug)]
pub struct Connector(Arc<Reloading<ClientConfig>>);

impl Connector {
    /// What the settings say; none where no service is at an `https` address.
    pub fn of(settings: &PeerSettings) -> Result<Option<Self>, Error> {
        let mut addresses = [&settings.template].into_iter().chain(settings.overrides.values());
        if addresses.any(|address| address.split(',').any(|one| one.trim().starts_with("https:"))) {
            return Self::new(&settings.tls).map(Some);
        }
        Ok(None)
    }

    /// What the settings say.
    pub fn new(settings: &PeerTls) -> Result<Self, Error> {
        let PeerTls { ca_path, cert_path, key_path } = settings.clone();
        let files = [&ca_path, &cert_path, &key_path].into_iter().flatten().cloned().collect();
        let own = cert_path.zip(key_path);
        let own = own.map(|(cert, key)| Certificate::at("peers.tls", &cert, &key));
        let make = move || call(ca_path.as_ref(), own.as_ref());
        Ok(Self(Arc::new(Reloading::of(files, make)?)))
    }

    /// Secures a connection to the server of that name.
    pub async fn connect(&self, host: &str, socket: TcpStream) -> io::Result<Connected> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connecting = TlsConnector::from(self.0.current()).connect(name, socket);
        timeout(HANDSHAKE, connecting).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

fn listen(
    certificate: &Certificate,
    clients: Option<&PathBuf>,
    protocols: &[Vec<u8>],
) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots: Arc<RootCertStore> = roots(certificate.setting, Some(path))?.into();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            builder.with_client_cert_verifier(verifier.map_err(unusable)?)
        }
    };
    let (chain, key) = certificate.read()?;
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| certificate.unusable(error))?;
    config.alpn_protocols = protocols.to_vec();
    Ok(config)
}

fn call(ca: Option<&PathBuf>, own: Option<&Certificate>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_root_certificates(roots("peers.tls", ca.map(PathBuf::as_path))?);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = own.read()?;
            builder.with_client_auth_cert(chain, key).map_err(|error| own.unusable(error))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn unusable(error: impl std::fmt::Display) -> Error {
    configuration(format!("TLS: {error}"))
}
