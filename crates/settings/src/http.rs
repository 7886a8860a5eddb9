//! The gateway's REST listener: where, and who may see what.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::ListenTls;

/// The gateway's REST listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS, off unless there is a certificate.
    pub tls: ListenTls,
    /// The origins whose pages may call from a browser, separated by commas; `*` is any, empty none.
    pub cors_origins: String,
    /// A file with how the gateway treats each method, in the form of `gateway/policies.toml`; read
    /// again when it changes. None: empty.
    pub policies: String,
    /// How many proxies stand in front, each adding to `X-Forwarded-For` who called it; 0: clients
    /// call directly, and the header is not believed.
    pub proxies: usize,
    /// Who may look at `/ops`.
    pub ops: Ops,
    /// Where `hansang up --split` takes orders to break something, for the switches of an `/ops` that is
    /// open: it sets this itself. Empty: there are none.
    pub ops_faults: String,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: ListenTls::default(),
            cors_origins: String::new(),
            policies: String::new(),
            proxies: 0,
            ops: Ops::Auto,
            ops_faults: String::new(),
        }
    }
}

impl HttpSettings {
    /// Listens on loopback, and nobody is said to pass on what others ask.
    pub fn is_for_this_machine(&self) -> bool {
        self.listen.ip().is_loopback() && self.proxies == 0
    }
}

/// Who may look at the figures of `/ops`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ops {
    /// Admins; `hansang up` opens it where it listens on loopback.
    #[default]
    Auto,
    /// Admins.
    Admins,
    /// Whoever is on this machine; only for a listener on loopback without proxies.
    Open,
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    #[test]
    fn only_what_is_for_this_machine_may_be_open() {
        let load = |more: &[(&str, &str)]| {
            let open = [("HANSANG__HTTP__OPS", "open")];
            let env = open.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            Settings::load(None, env, []).map_err(|error| error.to_string())
        };
        assert!(load(&[]).is_ok());
        for more in [("HANSANG__HTTP__LISTEN", "0.0.0.0:8080"), ("HANSANG__HTTP__PROXIES", "1")] {
            let error = load(&[more]).expect_err("is refused");
            assert!(error.contains("http.ops"), "{error}");
        }
    }
}
