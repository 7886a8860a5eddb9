//! TLS to a real Postgres whose certificate comes from an authority of the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base::cause_of;
use pg::Connector;
use settings::{DatabaseSettings, Secret, SslMode};
use testkit::{Certificates, Cluster};
use tokio::time::sleep;

struct Server {
    certificates: Certificates,
    port: u16,
    _cluster: Cluster,
}

impl Server {
    async fn start(tls: bool) -> Self {
        let certificates = Certificates::make();
        let read = |name| fs::read(certificates.file(name)).expect("openssl made it");
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let number = format!("port={port}");
        let mut options = vec!["-c", "listen_addresses=localhost", "-c", &number];
        if tls {
            options.extend(["-c", "ssl=on", "-c", "ssl_cert_file=../server.pem"]);
            options.extend(["-c", "ssl_key_file=../server.key"]);
        }
        let files = [("server.pem", &*read("server.pem")), ("server.key", &*read("server.key"))];
        let server = Self { port, _cluster: Cluster::start(&options, &files), certificates };
        for _ in 0..3_000 {
            if server.connect("localhost", SslMode::Prefer, None).await.is_ok() {
                return server;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("no Postgres");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.certificates.file(name)
    }

    /// Whether the connection is by TLS; or why there is none.
    async fn connect(
        &self,
        host: &str,
        mode: SslMode,
        root: Option<&Path>,
    ) -> Result<bool, String> {
        let url = format!("postgres://hansang@{host}:{}/postgres?sslmode={mode}", self.port);
        let settings = DatabaseSettings {
            url: Secret::new(url),
            ssl_root_cert: root.map(Path::to_path_buf),
            acquire_timeout_ms: 30_000,
            ..DatabaseSettings::default()
        };
        let connector = Connector::of(&settings, "test").map_err(|error| error.to_string())?;
        let (client, _) = connector.connect().await.map_err(|error| cause_of(&error))?;
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        Ok(client.query_one(sql, &[]).await.expect("answers").get(0))
    }
}

#[tokio::test]
async fn each_mode_checks_what_libpq_says() {
    let server = Server::start(true).await;
    let (ca, other) = (server.file("ca.pem"), server.file("other.pem"));
    let (right, wrong) = (Some(ca.as_path()), Some(other.as_path()));
    let (named, unnamed) = ("localhost", "127.0.0.1");
    for (mode, root, host, by_tls) in [
        (SslMode::Disable, right, named, Ok(false)),
        (SslMode::Prefer, None, named, Ok(true)),
        (SslMode::Prefer, wrong, unnamed, Ok(true)),
        (SslMode::Require, None, unnamed, Ok(true)),
        (SslMode::Require, right, unnamed, Ok(true)),
        (SslMode::Require, wrong, named, Err("UnknownIssuer")),
        (SslMode::VerifyCa, right, named, Ok(true)),
        (SslMode::VerifyCa, right, unnamed, Ok(true)),
        (SslMode::VerifyCa, wrong, named, Err("UnknownIssuer")),
        (SslMode::VerifyCa, None, named, Err("UnknownIssuer")),
        (SslMode::VerifyFull, right, named, Ok(true)),
        (SslMode::VerifyFull, right, unnamed, Err("not valid for name")),
        (SslMode::VerifyFull, wrong, named, Err("UnknownIssuer")),
        (SslMode::VerifyFull, None, named, Err("UnknownIssuer")),
    ] {
        let got = server.connect(host, mode, root).await;
        match (&got, by_tls) {
            (Ok(got), Ok(expected)) => assert_eq!(*got, expected, "{mode} {root:?} {host}"),
            (Err(got), Err(expected)) if got.contains(expected) => {}
            _ => panic!("{mode} {root:?} {host}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_good_enough_for_those_who_do_not_ask_for_it() {
    let server = Server::start(false).await;
    for mode in [SslMode::Disable, SslMode::Prefer] {
        assert_eq!(server.connect("localhost", mode, None).await, Ok(false), "{mode}");
    }
    let ca = server.file("ca.pem");
    for mode in [SslMode::Require, SslMode::VerifyCa, SslMode::VerifyFull] {
        let refused = server.connect("localhost", mode, Some(&ca)).await;
        assert!(refused.clone().is_err_and(|e| e.contains("does not support TLS")), "{refused:?}");
    }
}

#[tokio::test]
async fn migrations_and_pools_go_by_tls_too() {
    let server = Server::start(true).await;
    let url = format!("postgres://hansang@localhost:{}/postgres", server.port);
    let settings = DatabaseSettings {
        url: Secret::new(url),
        ssl_mode: Some(SslMode::VerifyFull),
        ssl_root_cert: Some(server.file("ca.pem")),
        acquire_timeout_ms: 30_000,
        ..DatabaseSettings::default()
    };
    pg::migrate::migrate(&settings, "test", &[]).await.expect("migrates");
    let database = pg::Database::new(&settings, "test").expect("settings are right");
    for database in [database.background(), database] {
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        let row = database.read().await.expect("connects").query_one(sql, &[]).await;
        assert!(row.expect("answers").get::<_, bool>(0));
    }

    let other = DatabaseSettings { ssl_root_cert: Some(server.file("other.pem")), ..settings };
    let error = pg::migrate::migrate(&other, "test", &[]).await.expect_err("not trusted");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(pg::Database::new(&other, "test").expect("a pool").read().await.is_err());
}

#[tokio::test]
async fn a_root_certificate_that_is_none_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("root.pem");
    fs::write(&path, "none").expect("writes");
    let settings = DatabaseSettings {
        ssl_mode: Some(SslMode::VerifyFull),
        ssl_root_cert: Some(path),
        ..DatabaseSettings::default()
    };
    let error = Connector::of(&settings, "test").err().expect("refused").to_string();
    assert!(error.contains("root.pem") && error.contains("ssl_root_cert"), "{error}");
}
