//! Brings a service's database up to date: the tables that every service has, then its own.
//!
//! Under an advisory lock, so that replicas may start at once.

use base::{Error, cause_of};
use refinery::{Migration, Runner};
use settings::DatabaseSettings;
use tokio_postgres::Client;

use crate::Connector;

/// Names and texts of migrations, in order.
pub type Migrations = &'static [(&'static str, &'static str)];

/// The crate's migrations by name: `migrations!["V1__orders"]` is `migrations/V1__orders.sql`.
#[macro_export]
macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
        )),*]
    };
}

/// Identity of the advisory lock; any constant would do.
const LOCK: i64 = 0x6861_6e73_616e_6701;

/// The tables that every service has.
pub const KIT: Migrations = crate::migrations![
    "V1__event_log",
    "V2__idempotency",
    "V3__task",
    "V4__clock",
    "V5__replay",
    "V6__unfinished_keys",
    "V7__no_leases",
    "V8__cursors",
    "V9__refused_keys",
    "V10__trail",
    "V11__search"
];

/// Applies what is missing in `service`'s database. Answers how many migrations that were.
pub async fn migrate(
    settings: &DatabaseSettings,
    service: &str,
    own: Migrations,
) -> Result<usize, Error> {
    let connector = Connector::of(settings, service)?;
    let (mut client, connection) = connector.connect().await.map_err(|error| {
        Error::unavailable(
            "DATABASE_UNAVAILABLE",
            format!("cannot reach the database of {service}: {}", cause_of(&error)),
        )
    })?;
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    let applied = apply(&mut client, "kit_migration", KIT).await?
        + apply(&mut client, "service_migration", own).await?;
    // The lock goes with the connection.
    drop(client);
    connection.await.ok();
    Ok(applied)
}

async fn apply(client: &mut Client, table: &str, migrations: Migrations) -> Result<usize, Error> {
    let failed = |error: refinery::Error| {
        use std::error::Error as _;
        let cause = error.source().and_then(std::error::Error::source);
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::internal(format!("migration: {error}{cause}"))
    };
    let migrations = migrations
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let mut runner = Runner::new(&migrations);
    runner.set_migration_table_name(table);
    // What a newer version has added is no reason not to start: this one was replaced, and is back.
    // What both know has to be the same.
    runner = runner.set_abort_missing(false).set_abort_divergent(true);
    let report = runner.run_async(client).await.map_err(failed)?;
    let there = runner.get_applied_migrations_async(client).await.map_err(failed)?;
    let has = |version| there.iter().any(|migration| migration.version() == version);
    if let Some(late) = migrations.iter().find(|migration| !has(migration.version())) {
        // Versions are numbered in the order in which they are released.
        let detail = format!(
            "migration: {late} is older than what was applied before it, and was not applied"
        );
        return Err(Error::internal(detail));
    }
    let newer =
        there.iter().filter(|one| migrations.iter().all(|own| own.version() != one.version()));
    if let Some(newest) = newer.map(ToString::to_string).next_back() {
        tracing::warn!(
            table,
            newest,
            "database migrated by a newer version, serving on its tables"
        );
    }
    Ok(report.applied_migrations().len())
}
