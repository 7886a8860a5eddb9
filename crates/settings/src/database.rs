//! How a service reaches its database.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Secret, SslMode};

/// Postgres: one database and one role per service.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Where a service's database is; `{service}` stands for its name.
    pub url: Secret,
    /// Connections a service may hold for calls.
    pub pool_size: usize,
    /// Connections it may hold besides for what no caller waits for: numbering and applying events,
    /// durable tasks, metrics, health. Calls never take these.
    pub background_pool_size: usize,
    /// A statement that takes longer is cancelled; below `deadline.request_ms`.
    pub statement_timeout_ms: u64,
    /// How long to wait for a free connection, or for Postgres to accept one.
    pub acquire_timeout_ms: u64,
    /// How soon a log that has been quiet for a while shows what another process has appended to it, at
    /// the latest. What this process appends is shown at once.
    pub quiet_poll_ms: u64,
    /// TLS to the server; absent: the URL's `sslmode`, or else `prefer`. As libpq has it:
    ///
    /// | mode | TLS | checks |
    /// |---|---|---|
    /// | `disable` | never | |
    /// | `prefer` | where the server has it | nothing |
    /// | `require` | always | nothing; with `ssl_root_cert` as `verify-ca` |
    /// | `verify-ca` | always | that a trusted authority has issued the certificate |
    /// | `verify-full` | always | also that it was issued for the URL's host name |
    ///
    /// On Unix sockets there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
    /// The path of a PEM file with the authorities that are trusted; absent: the URL's
    /// `sslrootcert`, or else those that the system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_root_cert: Option<PathBuf>,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("postgres://hansang_{service}@127.0.0.1:5432/hansang_{service}"),
            pool_size: 16,
            background_pool_size: 6,
            statement_timeout_ms: 4_000,
            acquire_timeout_ms: 3_000,
            quiet_poll_ms: 1_000,
            ssl_mode: None,
            ssl_root_cert: None,
        }
    }
}

impl DatabaseSettings {
    /// A URL with what the settings say of TLS in it, for somebody who has only the URL.
    #[must_use]
    pub fn with_tls(&self, url: &str) -> String {
        let mut url = url.to_owned();
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let mode = self.ssl_mode.map(|mode| ("sslmode", mode.to_string()));
        let root = self.ssl_root_cert.as_ref();
        let root = root.map(|path| ("sslrootcert", path.to_string_lossy().into_owned()));
        for (key, value) in mode.into_iter().chain(root) {
            url.push(if !is_url {
                ' '
            } else if url.contains('?') {
                '&'
            } else {
                '?'
            });
            url.push_str(key);
            url.push('=');
            url.push_str(&value);
        }
        url
    }
}
