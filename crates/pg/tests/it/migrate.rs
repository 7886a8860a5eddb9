//! Versions that come and go on the same tables.

use pg::{Migrations, migrate::migrate};

const OLD: Migrations = &[("V1__a", "create table a (id bigint)")];
const NEW: Migrations =
    &[("V1__a", "create table a (id bigint)"), ("V2__b", "create table b (id bigint)")];

#[tokio::test]
async fn the_version_before_starts_on_newer_tables() {
    let made = testkit::database(NEW).await;
    // What a newer version would have added.
    let later = "insert into kit_migration (version, name, applied_on, checksum)
        values (9999, 'later', '2026-01-01T00:00:00Z', '1')";
    made.database.read().await.expect("reads").execute(later, &[]).await.expect("inserts");
    assert_eq!(migrate(&made.settings, "test", OLD).await.expect("starts"), 0);
    assert_eq!(migrate(&made.settings, "test", NEW).await.expect("and back"), 0);
}

#[tokio::test]
async fn a_migration_that_was_changed_afterwards_is_refused() {
    let made = testkit::database(OLD).await;
    let changed: Migrations = &[("V1__a", "create table a (id uuid)")];
    let error = migrate(&made.settings, "test", changed).await.expect_err("another one");
    assert!(error.to_string().contains("V1__a"), "{error}");
}

#[tokio::test]
async fn a_migration_that_was_passed_over_is_refused() {
    let made = testkit::database(&[]).await;
    let second: Migrations = &[("V2__b", "create table b (id bigint)")];
    assert_eq!(migrate(&made.settings, "test", second).await.expect("applies"), 1);
    let error = migrate(&made.settings, "test", NEW).await.expect_err("V1 comes too late");
    assert!(error.to_string().contains("V1__a"), "{error}");
}
