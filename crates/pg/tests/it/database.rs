//! Connections: whom they are for, and what becomes of them when nothing comes back.

use base::Error;
use pg::Database;
use settings::Secret;
use testkit::proxy::Proxy;

#[tokio::test]
async fn work_in_the_background_has_connections_while_calls_hold_all_of_theirs() {
    let mut settings = testkit::database(&[]).await.settings;
    (settings.pool_size, settings.background_pool_size) = (2, 2);
    settings.acquire_timeout_ms = 200;
    let database = Database::new(&settings, "test").expect("settings are right");
    let calls = (database.begin().await.expect("free"), database.begin().await.expect("free"));

    let refused = database.begin().await.err().expect("all are taken");
    assert_eq!(refused.reason(), "DATABASE_BUSY");
    let mut tx = database.background().begin().await.expect("these are nobody else's");
    tx.query_one("select 1", &[]).await.expect("answers");

    drop(calls);
}

#[tokio::test]
async fn a_commit_in_the_background_wakes_who_waits_for_commits() {
    let database = testkit::database(&[]).await.database;
    let mut tx = database.background().begin().await.expect("begins");
    tx.mark_appended();
    tx.commit().await.expect("commits");
    database.committed().notified().await;
}

#[tokio::test]
async fn a_connection_to_a_server_that_takes_no_writes_any_more_is_replaced() {
    let mut settings = testkit::database(&[]).await.settings;
    settings.pool_size = 1;
    let database = Database::new(&settings, "test").expect("settings are right");
    let pid = "select pg_backend_pid()";
    let mut tx = database.begin().await.expect("begins");
    let demoted: i32 = tx.query_one(pid, &[]).await.expect("answers").get(0);
    tx.batch("set transaction read only").await.expect("as a standby does");
    let refused = tx.batch("create table written ()").await.expect_err("it takes no writes");
    let refused = Error::from(refused);
    assert!(refused.is_outage(), "{refused}");
    drop(tx);

    let mut tx = database.begin().await.expect("begins");
    let pid: i32 = tx.query_one(pid, &[]).await.expect("answers").get(0);
    assert_ne!(pid, demoted);
    tx.batch("create table written ()").await.expect("it takes writes");
}

#[tokio::test]
async fn a_host_that_accepts_connections_and_says_nothing_is_passed_over() {
    let mut settings = testkit::database(&[]).await.settings;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = format!("@{}", silent.local_addr().expect("bound"));
    let _proxy = Proxy::before(&mut settings);
    let url = settings.url.expose().replacen('@', &format!("{silent},"), 1);
    (settings.url, settings.acquire_timeout_ms) = (Secret::new(url), 10_000);
    let database = Database::new(&settings, "test").expect("settings are right");
    database.begin().await.expect("the other host answers");
}

#[tokio::test]
async fn a_standby_is_not_connected_to() {
    let settings = testkit::database(&[]).await.settings;
    let mut before =
        Database::new(&settings, "test").expect("right").begin().await.expect("begins");
    before
        .batch(
            "do $$ begin execute format('alter database %I set default_transaction_read_only = on',
               current_database()); end $$",
        )
        .await
        .expect("as on a standby");
    before.commit().await.expect("commits");
    let refused = Database::new(&settings, "test").expect("right").begin().await;
    let refused = refused.err().expect("it takes no writes");
    assert_eq!(refused.reason(), "DATABASE_UNAVAILABLE");
}
