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
    /// A file with the password of a service's role, before the URL's; `{service}` stands for its
    /// name. It is read for each new connection. While the role's password is changed, the file has
    /// both, a line each: the second is tried where the first is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_path: Option<PathBuf>,
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
            password_path: None,
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
    /// The file with the password of a service's role, if there is one.
    pub fn password_path_of(&self, service: &str) -> Option<PathBuf> {
        let path = self.password_path.as_ref()?;
        Some(path.to_string_lossy().replace("{service}", service).into())
    }
}
