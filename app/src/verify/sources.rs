//! The services' databases, to be read and nothing else: by small sets, or as long
//! lists sorted by id, of which no more than a few rows are in memory.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, Result, anyhow};
use futures_util::Stream as _;
use pg::Connector;
use settings::DatabaseSettings;
use tokio_postgres::{Client, Row, RowStream, types::ToSql};
use uuid::Uuid;

use crate::{
    provision::{VERIFIER, unreachable},
    run::SERVICES,
};

/// This session gives up rather than to get in the way. A plan is made for the ids at hand: none means
/// all, and few want another plan than many. That its role only reads must not have it taken for a
/// standby, where a URL asks for the primary.
const SESSION: &str = "-c default_transaction_read_only=off -c statement_timeout=600000 \
     -c lock_timeout=1000 -c jit=off -c plan_cache_mode=force_custom_plan -c work_mem=64MB \
     -c hash_mem_multiplier=2 -c max_parallel_workers_per_gather=2";
/// Whatever the role may: this session changes nothing.
const READ_ONLY: &str = "set session characteristics as transaction read only";
const CONNECT_MS: u64 = 5_000;

/// What a statement is given.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Connections that were read to the end of a list, for the next one.
type Idle = Arc<Mutex<Vec<(&'static str, Client)>>>;

/// A connection to each service's database, and more for the lists.
pub(super) struct Sources {
    configs: BTreeMap<&'static str, Connector>,
    clients: BTreeMap<&'static str, Client>,
    idle: Idle,
}

impl Sources {
    /// Connects to all.
    pub(super) async fn open(database: &DatabaseSettings) -> Result<Self> {
        let (mut configs, mut clients) = (BTreeMap::new(), BTreeMap::new());
        for service in SERVICES.iter().map(|service| service.name) {
            let config = connector(database, service)?;
            clients.insert(service, connect(&config, service).await?);
            configs.insert(service, config);
        }
        Ok(Self { configs, clients, idle: Idle::default() })
    }

    /// The services.
    pub(super) fn services(&self) -> impl Iterator<Item = &'static str> {
        self.configs.keys().copied()
    }

    /// Reads a set from a service's database.
    pub(super) async fn rows(
        &self,
        service: &'static str,
        sql: &'static str,
        params: Params<'_>,
    ) -> Result<Vec<Row>> {
        let client = self.clients.get(service).with_context(|| format!("there is no {service}"))?;
        client.query(sql, params).await.map_err(|error| unreadable(service, &error))
    }

    /// Begins to read a list that is sorted by its first column, an id, over a connection of its own until
    /// it ends: several are read side by side, each as fast as the others allow. `ids` are those to read, all
    /// without.
    pub(super) async fn sorted(
        &self,
        service: &'static str,
        sql: &'static str,
        ids: Option<&[Uuid]>,
    ) -> Result<Sorted> {
        let config = self.configs.get(service).with_context(|| format!("there is no {service}"))?;
        let client = match take(&self.idle, service) {
            Some(client) => client,
            None => connect(config, service).await?,
        };
        let params: [&(dyn ToSql + Sync); 1] = [&ids];
        let rows =
            client.query_raw(sql, params).await.map_err(|error| unreadable(service, &error))?;
        let (rows, idle) = (Box::pin(rows), Arc::clone(&self.idle));
        let mut sorted = Sorted { service, rows, next: None, client: Some(client), idle };
        sorted.advance().await?;
        Ok(sorted)
    }
}

fn take(idle: &Idle, service: &'static str) -> Option<Client> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    let of_this = idle.iter().position(|(of, client)| *of == service && !client.is_closed())?;
    Some(idle.swap_remove(of_this).1)
}

/// A list that is being read, its smallest id first.
pub(super) struct Sorted {
    service: &'static str,
    rows: Pin<Box<RowStream>>,
    next: Option<(Uuid, Row)>,
    /// Whose rows they are, until the last.
    client: Option<Client>,
    idle: Idle,
}

impl Sorted {
    /// The next id; none at the end.
    pub(super) fn id(&self) -> Option<Uuid> {
        self.next.as_ref().map(|(id, _)| *id)
    }

    /// Takes the next row if it is of this id.
    pub(super) async fn take(&mut self, id: Uuid) -> Result<Option<Row>> {
        match self.next.take_if(|(next, _)| *next == id) {
            None => Ok(None),
            Some((_, row)) => {
                self.advance().await?;
                Ok(Some(row))
            }
        }
    }

    async fn advance(&mut self) -> Result<()> {
        let row = poll_fn(|context| self.rows.as_mut().poll_next(context)).await;
        let row = row.transpose().map_err(|error| unreadable(self.service, &error))?;
        if row.is_none()
            && let Some(client) = self.client.take()
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push((self.service, client));
        }
        self.next = row.map(|row| (row.get(0), row));
        Ok(())
    }
}

async fn connect(connector: &Connector, service: &str) -> Result<Client> {
    let (client, _) = connector
        .connect()
        .await
        .map_err(|error| unreachable(&error).context(format!("cannot read {service}")))?;
    client.batch_execute(READ_ONLY).await?;
    Ok(client)
}

fn unreadable(service: &str, error: &tokio_postgres::Error) -> anyhow::Error {
    let cause = error.as_db_error().map_or_else(|| error.to_string(), ToString::to_string);
    anyhow!("cannot read the database of {service}: {cause}")
}

/// Into the service's database, as whoever the settings name for a service called `verify`.
fn connector(database: &DatabaseSettings, service: &str) -> Result<Connector> {
    let settings = DatabaseSettings { acquire_timeout_ms: CONNECT_MS, ..database.clone() };
    let parse = |name| Connector::to(&settings, &settings.url.expose().replace("{service}", name));
    let (database, verifier) = (parse(service)?, parse(VERIFIER)?);
    let database = database.with_password_of(&settings, VERIFIER)?;
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
    use settings::Secret;

    use super::*;

    #[test]
    fn the_verifier_enters_every_database_as_itself() {
        let url = "postgres://hansang_{service}:{service}-s3@db/hansang_{service}";
        let url = Secret::new(url);
        let database = DatabaseSettings { url, ..DatabaseSettings::default() };
        let connector = connector(&database, "order").unwrap();
        let config = connector.config();
        assert_eq!(config.get_dbname(), Some("hansang_order"));
        assert_eq!(config.get_user(), Some("hansang_verify"));
        assert_eq!(config.get_password(), Some(b"verify-s3".as_slice()));
    }
}
