//! Keys that nobody needs any more.

use pg::{Database, idempotency};
use testkit::{number, until};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_hundred_thousand_expired_keys_are_deleted_by_short_statements() {
    let made = testkit::database(&[]).await;
    let fill = "insert into idempotency
          (caller, method, key, request_hash, resource_id, response, create_time)
        select 'caller', 'method', n::text, '', gen_random_uuid(), '',
          now() - case when n % 100 = 0 then interval '1 hour' else interval '25 hours' end
        from generate_series(1, 101000) n";
    let mut reader = made.database.read().await.expect("reads");
    assert_eq!(reader.execute(fill, &[]).await.expect("inserts"), 101_000);
    // All at once would take longer than this on a busy machine.
    let settings = settings::DatabaseSettings { statement_timeout_ms: 2_000, ..made.settings };
    let database = Database::new(&settings, "test").expect("settings are right");
    let stop = CancellationToken::new();
    let forgetting = tokio::spawn(idempotency::forget_old_keys(database, stop.clone()));

    let left = async || number(&made.database, "select count(*) from idempotency").await;
    until("only fresh keys are left", async || left().await == 1_010).await;
    stop.cancel();
    forgetting.await.expect("ends");
}
