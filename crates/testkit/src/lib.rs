//! A real Postgres for tests: one private cluster per process, on a Unix socket in
//! a temporary directory, gone with the process however it ends. Each call
//! makes databases of its own, so tests do not see each other.
//!
//! `HANSANG_TEST_DATABASE_URL` names another server instead, by a superuser's URL
//! with `{database}` in it; what tests make there stays there.
//!
//! ```no_run
//! # async fn example() {
//! let made = testkit::database(&[("V1__page", "create table page (id uuid primary key)")]).await;
//! assert_eq!(testkit::number(&made.database, "select count(*) from page").await, 0);
//! # }
//! ```
//!
//! It refuses to pretend: the Postgres is one, and so are the sockets.

mod certificates;
mod cluster;
mod program;
pub mod proxy;
mod python;
pub mod stage;
mod wait;

use pg::{Database, Migrations, migrate::migrate};
use settings::{DatabaseSettings, Secret};
use uuid::Uuid;

use self::cluster::{cluster, connect};
pub use self::{
    certificates::Certificates,
    cluster::{Cluster, prepared, scratch},
    program::{Program, Up, data_dir, free_address, program},
    python::python,
    wait::{eventually, patience, until},
};

/// A fresh database with the tables that every service has and a service's own.
pub struct TestDatabase {
    /// How to reach it; the service's name does not matter.
    pub settings: DatabaseSettings,
    /// A pool of connections to it.
    pub database: Database,
}

/// Makes a database and migrates it.
///
/// # Panics
/// When there is no Postgres.
pub async fn database(own: Migrations) -> TestDatabase {
    let settings = databases(&["test"]).await;
    migrate(&settings, "test", own).await.expect("migrations apply");
    let database = Database::new(&settings, "test").expect("settings are right");
    TestDatabase { settings, database }
}

/// Makes a database for each of these services, under one URL: with the tables that every service has, or
/// empty, as it comes.
///
/// # Panics
/// When there is no Postgres.
pub async fn databases(services: &[&str]) -> DatabaseSettings {
    let url = &cluster().url;
    let admin = connect(&url.replace("{database}", "postgres")).await;
    let prefix = format!("test_{}_", Uuid::now_v7().simple());
    // Copying the files is quicker; before version 15 nothing else is done.
    let sql = "select current_setting('server_version_num')::int >= 150000";
    let chooses: bool = admin.query_one(sql, &[]).await.expect("a version").get(0);
    let strategy = if chooses { "strategy file_copy" } else { "" };
    for service in services {
        let name = format!("{prefix}{service}");
        let sql = format!("create database {name} {strategy}");
        admin.batch_execute(&sql).await.expect("databases can be made");
        // A copy's log would be taken for the original.
        let sql = "do $$ begin if to_regclass('log') is not null then
            update log set incarnation = gen_random_uuid(); end if; end $$";
        let copy = connect(&url.replace("{database}", &name)).await;
        copy.batch_execute(sql).await.expect("its log is its own");
    }
    let url = Secret::new(url.replace("{database}", &format!("{prefix}{{service}}")));
    // A busy machine is no reason to fail.
    DatabaseSettings {
        url,
        statement_timeout_ms: 30_000,
        acquire_timeout_ms: 30_000,
        ..DatabaseSettings::default()
    }
}

/// A number out of a database.
///
/// # Panics
/// When the database cannot be read.
pub async fn number(database: &Database, sql: &'static str) -> i64 {
    let mut reader = database.read().await.expect("reads");
    reader.query_one(sql, &[]).await.expect("one row").get(0)
}

/// A command with this idempotency key; always the same request of the same caller.
pub fn command(key: &str) -> pg::idempotency::Command {
    pg::idempotency::Command {
        caller: "test".to_owned(),
        method: "/test.v1.TestService/Test".into(),
        key: Some(key.to_owned()),
        request_hash: Vec::new(),
    }
}

/// Has the server flush what is committed, as it does anywhere but in tests: for benchmarks.
///
/// # Panics
/// When there is no Postgres.
pub async fn flush_commits() {
    let admin = connect(&cluster().url.replace("{database}", "postgres")).await;
    for sql in ["alter system set fsync = on", "select pg_reload_conf()"] {
        admin.batch_execute(sql).await.expect("a superuser may");
    }
}
