//! The services' databases, to be read and nothing else.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use kit::{config::DatabaseSettings, database::Connector};
use tokio_postgres::{Client, Row};

use crate::{
    provision::{VERIFIER, unreachable},
    run::SERVICES,
};

/// This session gives up rather than to get in the way. That its role only reads must not have it taken
/// for a standby, where a URL asks for the primary.
const SESSION: &str = "-c default_transaction_read_only=off -c statement_timeout=60000 -c lock_timeout=1000 -c jit=off";
/// Whatever the role may: this session changes nothing.
const READ_ONLY: &str = "set session characteristics as transaction read only";
const CONNECT_MS: u64 = 5_000;

/// A connection to each service's database.
pub(super) struct Sources(BTreeMap<&'static str, Client>);

impl Sources {
    /// Connects to all.
    pub(super) async fn open(database_url: &str) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for service in SERVICES.iter().map(|service| service.name) {
            let (client, _) = connector(database_url, service)?
                .connect()
                .await
                .map_err(|error| unreachable(&error).context(format!("cannot read {service}")))?;
            client.batch_execute(READ_ONLY).await?;
            sources.insert(service, client);
        }
        Ok(Self(sources))
    }

    /// The services.
    pub(super) fn services(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Reads from a service's database.
    pub(super) async fn rows(&self, service: &str, sql: &'static str) -> Result<Vec<Row>> {
        let client = self.0.get(service).with_context(|| format!("there is no {service}"))?;
        client.query(sql, &[]).await.map_err(|error| {
            let cause = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
            anyhow!("cannot read the database of {service}: {cause}")
        })
    }
}

/// Into the service's database, as whoever the URL names for a service called `verify`.
fn connector(database_url: &str, service: &str) -> Result<Connector> {
    let settings =
        DatabaseSettings { acquire_timeout_ms: CONNECT_MS, ..DatabaseSettings::default() };
    let parse = |name| Connector::to(&settings, &database_url.replace("{service}", name));
    let (database, verifier) = (parse(service)?, parse(VERIFIER)?);
    Ok(database.with(|config| {
        if let Some(user) = verifier.config().get_user() {
            config.user(user);
        }
        if let Some(password) = verifier.config().get_password() {
            config.password(password);
        }
        config.application_name("hansang-verify").options(SESSION);
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_enters_every_database_as_itself() {
        let url = "postgres://hansang_{service}:{service}-s3@db/hansang_{service}";
        let connector = connector(url, "order").unwrap();
        let config = connector.config();
        assert_eq!(config.get_dbname(), Some("hansang_order"));
        assert_eq!(config.get_user(), Some("hansang_verify"));
        assert_eq!(config.get_password(), Some(b"verify-s3".as_slice()));
    }
}
