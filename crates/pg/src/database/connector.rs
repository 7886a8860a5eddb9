//! Where a database is and how a connection to it is made: by TLS as libpq means
//! it, and so that a peer which is gone is noticed. Of what a URL may say, `sslmode`
//! and `sslrootcert` are read here, everything else by the driver.

use std::{path::PathBuf, str::FromStr as _, time::Duration};

use base::{Error, error::Kind};
use percent_encoding::percent_decode_str;
use settings::{DatabaseSettings, SslMode};
use tokio_postgres::{Config, config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{hosts::Last, passwords::Passwords, tls};

/// What the driver has where nothing is said.
const SYSTEM_KEEPALIVE: Duration = Duration::from_hours(2);
/// After so much silence the peer's system is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;
/// So long may what was sent stay without the acknowledgement of the peer's system.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// How the database of one service, or a server, is reached.
#[derive(Clone)]
pub struct Connector {
    config: Config,
    mode: SslMode,
    root_cert: Option<PathBuf>,
    tls: MakeRustlsConnect,
    /// Before that of the URL.
    pub(super) passwords: Option<Passwords>,
    /// Each host's, of the time to connect.
    pub(super) share: Duration,
    pub(super) last: Last,
}

impl Connector {
    /// To the database of `service`, as its role: `{service}` in the URL, and in the path of the
    /// password, stands for its name.
    pub fn of(settings: &DatabaseSettings, service: &str) -> Result<Self, Error> {
        let url = settings.url.expose().replace("{service}", service);
        let mut connector = Self::to(settings, &url)?.with_password_of(settings, service)?;
        connector.config.application_name(format!("hansang-{service}"));
        // Whatever an address leads to for a while: no service has any use for a standby.
        connector.config.target_session_attrs(config::TargetSessionAttrs::ReadWrite);
        Ok(connector)
    }

    /// To the server of `url`, with the rest of the settings.
    pub fn to(settings: &DatabaseSettings, url: &str) -> Result<Self, Error> {
        let mut url = url.to_owned();
        let mode = take_out(&mut url, "sslmode").map(|mode| SslMode::from_str(&mode));
        let mode = settings.ssl_mode.or(mode.transpose()?);
        let root_cert = take_out(&mut url, "sslrootcert").map(PathBuf::from);
        let config = url.parse().map_err(|error| invalid(format!("database.url: {error}")))?;
        let patience = Duration::from_millis(settings.acquire_timeout_ms);
        let root_cert = settings.ssl_root_cert.clone().or(root_cert);
        Self::new(config, mode.unwrap_or_default(), root_cert, patience)
    }

    /// By the password that the settings have for the role of `service`, where they have one.
    pub fn with_password_of(
        mut self,
        settings: &DatabaseSettings,
        service: &str,
    ) -> Result<Self, Error> {
        if let Some(path) = settings.password_path_of(service) {
            self.passwords = Some(Passwords::of(path)?);
        }
        Ok(self)
    }

    /// To a server of our own, on its Unix socket.
    pub fn local(config: Config, patience: Duration) -> Result<Self, Error> {
        Self::new(config, SslMode::Disable, None, patience)
    }

    fn new(
        mut config: Config,
        mode: SslMode,
        root_cert: Option<PathBuf>,
        patience: Duration,
    ) -> Result<Self, Error> {
        let on_socket = |host: &config::Host| matches!(host, config::Host::Unix(_));
        // As libpq: nobody listens in on a socket of this machine.
        let local = !config.get_hosts().is_empty() && config.get_hosts().iter().all(on_socket);
        config.ssl_mode(match mode {
            _ if local => config::SslMode::Disable,
            SslMode::Disable => config::SslMode::Disable,
            SslMode::Prefer => config::SslMode::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => config::SslMode::Require,
        });
        let tls = if local { SslMode::Disable } else { mode };
        let tls = tls::client(tls, root_cert.as_deref())?;
        let hosts = u32::try_from(config.get_hosts().len().max(1)).unwrap_or(u32::MAX);
        // For each: the last of them has to be reached while the first does not answer.
        let share = patience / hosts;
        config.connect_timeout(share);
        notice_the_dead(&mut config);
        let (tls, last) = (MakeRustlsConnect::new(tls), Last::default());
        Ok(Self { config, mode, root_cert, tls, passwords: None, share, last })
    }

    /// The same server; another database, user or session.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut other = self.clone();
        change(&mut other.config);
        other
    }

    /// What the driver is given.
    pub fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// How it is reached, as the query of a URL: `?sslmode=require`; empty when nothing was said.
    pub fn query(&self) -> String {
        let mut parts = Vec::new();
        if self.mode != SslMode::default() && self.config.get_ssl_mode() != config::SslMode::Disable
        {
            parts.push(format!("sslmode={}", self.mode));
        }
        if let Some(path) = &self.root_cert {
            let all = percent_encoding::NON_ALPHANUMERIC;
            let path = path.to_string_lossy();
            parts
                .push(format!("sslrootcert={}", percent_encoding::utf8_percent_encode(&path, all)));
        }
        match self.config.get_target_session_attrs() {
            config::TargetSessionAttrs::ReadWrite => {
                parts.push("target_session_attrs=read-write".to_owned());
            }
            config::TargetSessionAttrs::ReadOnly => {
                parts.push("target_session_attrs=read-only".to_owned());
            }
            _ => {}
        }
        if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) }
    }
}

fn notice_the_dead(config: &mut Config) {
    if config.get_keepalives_idle() == SYSTEM_KEEPALIVE {
        config.keepalives_idle(KEEPALIVE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_RETRIES);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(UNACKNOWLEDGED);
    }
}

/// Takes `key=value` out of a URL's query, or out of `key=value` pairs with spaces between.
fn take_out(url: &mut String, key: &str) -> Option<String> {
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let from = if is_url { url.find('?')? + 1 } else { 0 };
    let between = if is_url { '&' } else { ' ' };
    let mut found = None;
    let rest: Vec<String> = url[from..]
        .split(between)
        .filter(|pair| match pair.split_once('=') {
            Some((name, value)) if name == key => {
                let value = if is_url {
                    percent_decode_str(value).decode_utf8_lossy()
                } else {
                    value.into()
                };
                found = Some(value.into_owned());
                false
            }
            _ => true,
        })
        .map(str::to_owned)
        .collect();
    let rest = rest.join(&between.to_string());
    url.replace_range(from.., &rest);
    found
}

fn invalid(detail: String) -> Error {
    Error::new(Kind::Invalid, "DATABASE_URL", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(url: &str) -> Connector {
        Connector::to(&DatabaseSettings::default(), url).expect("is right")
    }

    #[test]
    fn what_a_url_says_of_tls_is_libpqs() {
        for (url, mode, query) in [
            ("postgres://a@h/d", SslMode::Prefer, ""),
            ("postgres://a@h/d?sslmode=disable", SslMode::Disable, ""),
            ("postgres://a@h/d?sslmode=require", SslMode::Require, "?sslmode=require"),
            ("host=h sslmode=require user=a", SslMode::Require, "?sslmode=require"),
            (
                "postgres://a@h,i/d?target_session_attrs=read-write&sslmode=require",
                SslMode::Require,
                "?sslmode=require&target_session_attrs=read-write",
            ),
        ] {
            let connector = connector(url);
            assert_eq!((connector.mode, connector.query().as_str()), (mode, query), "{url}");
        }
        let error = Connector::to(&DatabaseSettings::default(), "postgres://h?sslmode=full");
        assert!(error.err().expect("no such mode").to_string().contains("verify-full"));
    }

    #[test]
    fn a_setting_goes_before_the_url() {
        let settings =
            DatabaseSettings { ssl_mode: Some(SslMode::Disable), ..DatabaseSettings::default() };
        let connector = Connector::to(&settings, "postgres://h?sslmode=require").expect("right");
        assert_eq!(connector.mode, SslMode::Disable);
    }

    #[test]
    fn each_host_has_its_share_of_the_time_to_connect() {
        let two = connector("postgres://a@h,i/d");
        assert_eq!(two.config.get_connect_timeout(), Some(&Duration::from_millis(1_500)));
    }

    #[test]
    fn keepalives_of_the_url_stay() {
        let config = connector("postgres://h?keepalives_idle=60").config;
        assert_eq!(config.get_keepalives_idle(), Duration::from_mins(1));
        assert_eq!(config.get_tcp_user_timeout(), Some(&UNACKNOWLEDGED));
    }
}
