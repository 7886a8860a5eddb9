//! Connections: whom they are for, and what becomes of them when nothing comes back.

use kit::{Database, testing};

#[tokio::test]
async fn work_in_the_background_has_connections_while_calls_hold_all_of_theirs() {
    let mut settings = testing::database(&[]).await.settings;
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
    let database = testing::database(&[]).await.database;
    let mut tx = database.background().begin().await.expect("begins");
    tx.mark_appended();
    tx.commit().await.expect("commits");
    database.committed().notified().await;
}
