//! Passwords from a file, for a real Postgres that asks for them.

use std::fs;

use base::cause_of;
use pg::{Connector, Database};
use settings::{DatabaseSettings, Secret};
use testkit::Cluster;

struct Server {
    directory: tempfile::TempDir,
    port: u16,
    admin: tokio_postgres::Client,
    _cluster: Cluster,
}

impl Server {
    async fn start() -> Self {
        let (cluster, port, admin) = Cluster::with_passwords().await;
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, port, admin, _cluster: cluster }
    }

    async fn sql(&self, sql: &str) {
        self.admin.batch_execute(sql).await.expect("a superuser may");
    }

    fn file(&self, lines: &str) {
        fs::write(self.directory.path().join("order"), lines).expect("writes");
    }

    fn settings(&self) -> DatabaseSettings {
        let url = format!("postgres://{{service}}@127.0.0.1:{}/postgres", self.port);
        DatabaseSettings {
            url: Secret::new(url),
            password_path: Some(self.directory.path().join("{service}")),
            acquire_timeout_ms: 30_000,
            ..DatabaseSettings::default()
        }
    }

    /// Why nobody gets in, if nobody does.
    async fn enter(&self) -> Result<(), String> {
        let connector = Connector::of(&self.settings(), "order").expect("is right");
        connector.connect().await.map(|_| ()).map_err(|error| cause_of(&error))
    }
}

#[tokio::test]
async fn a_password_is_changed_under_a_pool_that_goes_on() {
    let server = Server::start().await;
    server.sql("create role \"order\" login password 'one'").await;
    server.file("one\n");
    let database = Database::new(&server.settings(), "order").expect("is right");
    let mut held = Vec::new();
    let states = [("one\n", "one"), ("one\ntwo\n", "one"), ("one\ntwo\n", "two"), ("two\n", "two")];
    for (lines, role) in states {
        server.file(lines);
        server.sql(&format!("alter role \"order\" password '{role}'")).await;
        // Those before are taken, so this one is new.
        let new = database.read().await;
        held.push(new.unwrap_or_else(|error| panic!("{lines:?}, {role}: {error}")));
        for reader in &mut held {
            reader.query_one("select 1", &[]).await.expect("open connections go on");
        }
    }
    server.file("three\nfour\n");
    let refused = server.enter().await.expect_err("neither is right");
    assert!(refused.contains("password authentication failed"), "{refused}");
}

#[tokio::test]
async fn a_file_without_a_password_is_named_at_the_start() {
    let settings = DatabaseSettings {
        password_path: Some("/nowhere/{service}".into()),
        ..DatabaseSettings::default()
    };
    let error = Connector::of(&settings, "order").err().expect("refused").to_string();
    assert!(error.contains("database.password_path: /nowhere/order"), "{error}");
}
