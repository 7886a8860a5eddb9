//! What becomes of consumers when the database under a log is another one: a standby
//! that was promoted, a backup that was restored, under the running service or while
//! it is down.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use pg::Database;
use testkit::{number, until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Producer, change, consumer, heard, listener};

/// Counters in partitions of their own.
fn counters<const N: usize>() -> [Uuid; N] {
    let mut partitions = Vec::new();
    std::array::from_fn(|_| {
        loop {
            let id = Uuid::now_v7();
            if !partitions.contains(&eventlog::partition(id)) {
                partitions.push(eventlog::partition(id));
                return id;
            }
        }
    })
}

/// Takes a log back to what it was at a position, as a restored volume or a standby that lagged.
async fn take_back(database: &Database, to: i64) {
    let mut tx = database.begin().await.unwrap();
    let position: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&to];
    for sql in [
        "delete from event where id in (select id from event_position where position > $1)",
        "delete from event_position where position > $1",
        "delete from numbering where position > $1",
    ] {
        tx.execute(sql, &position).await.unwrap();
    }
    let sql = "insert into numbering (position, snapshot, shift)
         values ($1, pg_current_snapshot(), 0) on conflict do nothing";
    tx.execute(sql, &position).await.unwrap();
    let sql = "update counter c set version = (
           select coalesce(max(aggregate_version), 0) from event e where e.aggregate_id = c.id)";
    tx.execute(sql, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn texts(listener: &Database, counter: Uuid) -> Vec<String> {
    let heard = heard(listener).await.into_iter();
    heard.filter(|(id, ..)| *id == counter).map(|(.., text)| text).collect()
}

/// A consumer that runs until it is stopped.
struct Running(CancellationToken, tokio::task::JoinHandle<()>);

impl Running {
    fn start(producer: &Producer, listener: &Database) -> Self {
        let stop = CancellationToken::new();
        let running = tokio::spawn(consumer(producer, listener, |_| Ok(())).run(stop.clone()));
        Self(stop, running)
    }

    async fn stop(self) {
        self.0.cancel();
        self.1.await.unwrap();
    }
}

const STOPPED: &str = "select count(*) from log_loss where accepted_at is null";
const ACCEPT: &str =
    "update log_loss set accepted_at = now(), accepted_by = 'kim', reason = 'the standby lagged'";

#[tokio::test]
async fn only_the_partition_that_applied_what_was_lost_stops_until_that_is_accepted() {
    for down in [false, true] {
        let (producer, listener) = (Producer::start().await, listener().await);
        let [hit, spared, other] = counters();
        for counter in [hit, spared, other] {
            producer.change(counter, "Changed", "kept").await;
        }
        let running = Running::start(&producer, &listener);
        until("all is heard", async || heard(&listener).await.len() == 3).await;
        let stored = "select max(position) from checkpoint";
        until("stored", async || number(&listener, stored).await == 3).await;
        producer.change(hit, "Changed", "lost").await;
        until("all is heard", async || heard(&listener).await.len() == 4).await;
        let mut running = Some(running);
        if down && let Some(running) = running.take() {
            running.stop().await;
        }

        take_back(&producer.database, 3).await;
        producer.change(hit, "Changed", "anew").await;
        producer.change(spared, "Changed", "after").await;
        let running = running.unwrap_or_else(|| Running::start(&producer, &listener));
        until("the others go on", async || texts(&listener, spared).await.len() == 2).await;
        until("one has stopped", async || number(&listener, STOPPED).await == 1).await;
        assert_eq!(texts(&listener, hit).await, ["kept", "lost"], "down: {down}");
        let metrics = telemetry::metrics();
        assert!(metrics.contains("hansang_consumer_lost_partitions{consumer=\"listener\""));
        let sql = "select applied * 100 + common from log_loss";
        assert_eq!(number(&listener, sql).await, 403, "what was applied, and what is in common");

        // Stopped again after a restart, while the others go on.
        running.stop().await;
        let running = Running::start(&producer, &listener);
        producer.change(other, "Changed", "after").await;
        until("the others go on", async || texts(&listener, other).await.len() == 2).await;
        assert_eq!(texts(&listener, hit).await.len(), 2);

        listener.read().await.unwrap().execute(ACCEPT, &[]).await.unwrap();
        until("it goes on", async || texts(&listener, hit).await.len() == 3).await;
        producer.change(hit, "Changed", "later").await;
        until("it goes on", async || texts(&listener, hit).await.len() == 4).await;
        assert_eq!(texts(&listener, hit).await, ["kept", "lost", "anew", "later"]);
        running.stop().await;
    }
}

#[tokio::test]
async fn what_was_lost_but_never_applied_stops_nobody() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let [one, other] = counters();
    producer.change(one, "Changed", "kept").await;
    producer.change(other, "Changed", "kept").await;
    let running = Running::start(&producer, &listener);
    until("all is heard", async || heard(&listener).await.len() == 2).await;
    let stored = "select max(position) from checkpoint";
    until("stored", async || number(&listener, stored).await == 2).await;
    running.stop().await;

    producer.change(one, "Changed", "lost").await;
    take_back(&producer.database, 2).await;
    producer.change(other, "Changed", "after").await;
    producer.change(one, "Changed", "after").await;
    let running = Running::start(&producer, &listener);
    until("all is heard", async || heard(&listener).await.len() == 4).await;
    assert_eq!(texts(&listener, one).await, ["kept", "after"]);
    assert_eq!(number(&listener, "select count(*) from log_loss").await, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_log_that_was_lost_without_being_written_to_again_is_noticed() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let [one] = counters();
    let running = Running::start(&producer, &listener);
    producer.change(one, "Changed", "kept").await;
    producer.change(one, "Changed", "lost").await;
    until("all is heard", async || heard(&listener).await.len() == 2).await;
    let stored = "select max(position) from checkpoint";
    until("stored", async || number(&listener, stored).await == 2).await;
    take_back(&producer.database, 1).await;
    until("it has stopped", async || number(&listener, STOPPED).await == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn a_dump_restored_into_a_younger_server_goes_on_where_it_ended() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let [counter, other] = counters();
    producer.change(counter, "Changed", "before").await;
    let running = Running::start(&producer, &listener);
    until("heard", async || heard(&listener).await.len() == 1).await;

    // The ids of the server that the dump came from were far ahead, and one event had no position.
    let mut tx = producer.database.begin().await.unwrap();
    change(&mut tx, counter, "Changed", "unnumbered").await.unwrap();
    for sql in [
        "update event set xid = '900000007'",
        "update numbering set snapshot = '900000000:900000000:'
         where position = (select max(position) from numbering)",
    ] {
        tx.execute(sql, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    until("heard", async || heard(&listener).await.len() == 2).await;
    for n in 3..=20 {
        producer.change(if n % 2 == 0 { counter } else { other }, "Changed", "after").await;
        until("heard", async || heard(&listener).await.len() == n).await;
    }
    let sql = "select count(*) from numbering n
         where n.shift < 900000000 - 100000 and n.position > 2";
    assert_eq!(number(&producer.database, sql).await, 0, "new events carry higher ids");
    assert_eq!(number(&listener, "select count(*) from log_loss").await, 0);
    running.stop().await;
}
