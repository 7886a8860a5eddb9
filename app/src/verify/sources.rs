//! The services' databases, to be read and nothing else.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use tokio_postgres::{Client, Config, NoTls, Row};

use crate::{
    provision::{VERIFIER, unreachable},
    run::SERVICES,
};

/// Whatever the role may: this session changes nothing, and gives up rather than to get in the way.
const SESSION: &str = "-c default_transaction_read_only=on -c statement_timeout=60000 -c lock_timeout=1000 -c jit=off";
const CONNECT: Duration = Duration::from_secs(5);

/// A connection to each service's database.
pub(super) struct Sources(BTreeMap<&'static str, Client>);

impl Sources {
    /// Connects to all.
    pub(super) async fn open(database_url: &str) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for service in SERVICES.iter().map(|service| service.name) {
            let config = config(database_url, service)?;
            let (client, connection) = config
                .connect(NoTls)
                .await
                .map_err(|error| unreachable(&error).context(format!("cannot read {service}")))?;
            tokio::spawn(connection);
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
fn config(database_url: &str, service: &str) -> Result<Config> {
    let parse = |name| {
        let config = database_url.replace("{service}", name).parse::<Config>();
        config.map_err(|error| anyhow!("database.url: {error}"))
    };
    let (mut config, verifier) = (parse(service)?, parse(VERIFIER)?);
    if let Some(user) = verifier.get_user() {
        config.user(user);
    }
    if let Some(password) = verifier.get_password() {
        config.password(password);
    }
    config.application_name("hansang-verify").options(SESSION).connect_timeout(CONNECT);
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_enters_every_database_as_itself() {
        let url = "postgres://hansang_{service}:{service}-s3@db/hansang_{service}";
        let config = config(url, "order").unwrap();
        assert_eq!(config.get_dbname(), Some("hansang_order"));
        assert_eq!(config.get_user(), Some("hansang_verify"));
        assert_eq!(config.get_password(), Some(b"verify-s3".as_slice()));
    }
}
