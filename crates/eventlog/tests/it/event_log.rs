//! The event log on a real Postgres: nothing lost, nothing twice, in order,
//! whatever is rolled back, killed or doubled meanwhile.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::{collections::HashMap, sync::Arc};

use eventlog::{
    Draft,
    v1::{Cursor, Span, SubscribeRequest, frame::Kind},
};
use testkit::{number, until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Streaming};
use uuid::Uuid;

use crate::support::{Note, Producer, change, consumer, heard, kill_and_resume, listener};

const WRITERS: usize = 16;
const TRANSACTIONS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_or_out_of_order() {
    let (producer, listener) = (Arc::new(Producer::serving().await), listener().await);
    let (calm, stop) = (CancellationToken::new(), CancellationToken::new());
    // Two replicas of each side, and all of them die all the time.
    let mut replicas = JoinSet::new();
    for _ in 0..2 {
        let (log, until_stopped) = (producer.log.clone(), stop.clone());
        replicas
            .spawn(kill_and_resume(calm.clone(), move || log.clone().run(until_stopped.clone())));
        let (producer, listener) = (Arc::clone(&producer), listener.clone());
        let until_stopped = stop.clone();
        replicas.spawn(kill_and_resume(calm.clone(), move || {
            consumer(&producer, &listener, |_| Ok(())).run(until_stopped.clone())
        }));
    }
    // A transaction that takes its id before all others, and its event commits after all others.
    let last = Uuid::now_v7();
    let mut long = producer.database.begin().await.unwrap();
    change(&mut long, last, "Changed", "long").await.unwrap();

    let counters: Vec<_> = (0..12).map(|_| Uuid::now_v7()).collect();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        writers.spawn(write(producer.database.clone(), counters.clone()));
    }
    writers.join_all().await;
    long.commit().await.unwrap();
    calm.cancel();

    let expected = number(&producer.database, "select sum(version)::bigint from counter").await;
    until("all is numbered", async || producer.head().await >= expected).await;
    let expected = usize::try_from(expected).unwrap();
    until("all is heard", async || heard(&listener).await.len() >= expected).await;
    stop.cancel();
    replicas.join_all().await;

    let sql = "select position, aggregate_id, aggregate_version
        from event_position join event using (id) order by position";
    let log = producer.database.read().await.unwrap().query(sql, &[]).await.unwrap();
    assert_eq!(log.len(), expected);
    assert!(log.iter().zip(1..).all(|(row, position)| row.get::<_, i64>(0) == position));
    in_order(log.iter().map(|row| (row.get(1), row.get(2))));
    let heard = heard(&listener).await;
    assert_eq!(heard.len(), expected);
    in_order(heard.iter().map(|(counter, version, _)| (*counter, *version)));
    assert!(heard.iter().any(|(counter, ..)| *counter == last));
}

/// Transactions that change some counters, with savepoints; a quarter of them does not commit.
async fn write(database: pg::Database, counters: Vec<Uuid>) {
    for _ in 0..TRANSACTIONS {
        let mut tx = database.begin().await.unwrap();
        // In order of their ids, so that no two wait for each other.
        for counter in counters.iter().filter(|_| rand::random_ratio(1, 6)) {
            if rand::random_ratio(1, 4) {
                tx.batch("savepoint here").await.unwrap();
                change(&mut tx, *counter, "Changed", "undone").await.unwrap();
                tx.batch("rollback to savepoint here").await.unwrap();
            }
            if rand::random_ratio(1, 4) {
                tx.batch("savepoint there").await.unwrap();
            }
            change(&mut tx, *counter, "Changed", "").await.unwrap();
            tokio::task::yield_now().await;
        }
        match rand::random_range(0..8) {
            0 => tx.rollback().await,
            1 => drop(tx),
            _ => tx.commit().await.unwrap(),
        }
    }
}

/// Each counter's versions are 1, 2, 3, …
fn in_order(events: impl Iterator<Item = (Uuid, i64)>) {
    let mut last = HashMap::new();
    for (counter, version) in events {
        let last = last.entry(counter).or_insert(0);
        assert_eq!(version, *last + 1, "{counter}");
        *last = version;
    }
}

/// Reads a stream, and checks that its spans leave nothing out.
struct Reader {
    stream: Streaming<Note>,
    covered: HashMap<i32, i64>,
    ids: HashMap<i32, String>,
    texts: Vec<String>,
    caught_up: Option<i64>,
}

impl Reader {
    async fn open(producer: &Producer, request: SubscribeRequest) -> Self {
        let covered = request.cursors.iter().map(|c| (c.partition, c.position)).collect();
        let mut stream = producer.subscribe(request).await.unwrap();
        let first = stream.message().await.unwrap().unwrap().frame.unwrap().kind;
        assert!(matches!(first, Some(Kind::Opened(_))), "{first:?}");
        Self { stream, covered, ids: HashMap::new(), texts: Vec::new(), caught_up: None }
    }

    async fn read(&mut self) {
        let note = self.stream.message().await.unwrap().expect("the stream goes on");
        let spans = match note.frame.unwrap().kind.unwrap() {
            Kind::Event(envelope) => {
                self.texts.push(note.text);
                vec![Span { event_id: envelope.event_id, ..envelope.span.unwrap() }]
            }
            Kind::Progress(progress) => progress.spans,
            Kind::CaughtUp(caught_up) => {
                self.caught_up = Some(caught_up.position);
                Vec::new()
            }
            Kind::Opened(_) => panic!("opened twice"),
        };
        for span in spans {
            let covered = self.covered.entry(span.partition).or_insert(0);
            assert_eq!(*covered, span.covers_after);
            assert!(span.position > span.covers_after);
            *covered = span.position;
            self.ids.insert(span.partition, span.event_id);
        }
    }
}

#[tokio::test]
async fn spans_cover_what_is_filtered_out() {
    let producer = Producer::start().await;
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let place = |counter| i32::from(eventlog::partition(counter));
    producer.change(one, "Wanted", "stored").await;
    producer.change(one, "Unwanted", "").await;
    producer.change(other, "Unwanted", "").await;
    until("numbered", async || producer.head().await == 3).await;

    let types = vec!["Wanted".to_owned()];
    let request = SubscribeRequest { types, ..SubscribeRequest::default() };
    let mut reader = Reader::open(&producer, request.clone()).await;
    while reader.caught_up.is_none() {
        reader.read().await;
    }
    assert_eq!(reader.caught_up, Some(3));
    assert!(reader.covered[&place(one)] >= 2 && reader.covered[&place(other)] == 3);

    // Live, the same.
    producer.change(other, "Unwanted", "").await;
    producer.change(other, "Wanted", "live").await;
    producer.change(one, "Unwanted", "").await;
    while reader.covered[&place(one)] < 6 {
        reader.read().await;
    }
    assert_eq!(reader.texts, ["stored", "live"]);

    // And again from where the spans ended: nothing.
    producer.change(one, "Wanted", "new").await;
    let cursors = reader.covered.iter().map(|(partition, at)| Cursor {
        partition: *partition,
        position: *at,
        event_id: reader.ids[partition].clone(),
        ..Cursor::default()
    });
    let request = SubscribeRequest { cursors: cursors.collect(), ..request };
    let mut again = Reader::open(&producer, request).await;
    while again.texts.is_empty() {
        again.read().await;
    }
    assert_eq!(again.texts, ["new"]);
}

#[tokio::test]
async fn silent_partitions_are_covered_in_the_end() {
    let producer = Producer::start().await;
    let counter = Uuid::now_v7();
    let mut reader = Reader::open(&producer, SubscribeRequest::default()).await;
    let mut tx = producer.database.begin().await.unwrap();
    for _ in 0..1_100 {
        change(&mut tx, counter, "Changed", "").await.unwrap();
    }
    tx.commit().await.unwrap();
    while reader.covered.len() < 64 {
        reader.read().await;
    }
    assert!(reader.covered.values().all(|position| *position >= 1_000), "{:?}", reader.covered);
}

#[tokio::test]
async fn a_slow_subscriber_misses_nothing() {
    let producer = Producer::start().await;
    let mut reader = Reader::open(&producer, SubscribeRequest::default()).await;
    while reader.caught_up.is_none() {
        reader.read().await;
    }
    // More than the stream's windows hold and more batches than are kept for it.
    let (counter, page) = (Uuid::now_v7(), "x".repeat(8_000));
    for n in 1..=200 {
        producer.change(counter, "Changed", &format!("{n} {page}")).await;
        until("numbered", async || producer.head().await == n).await;
    }
    while reader.texts.len() < 200 {
        reader.read().await;
    }
    for (text, n) in reader.texts.iter().zip(1..) {
        assert!(text.starts_with(&format!("{n} ")), "{n}");
    }
}

#[tokio::test]
async fn a_backlog_is_numbered_in_portions() {
    let producer = Producer::serving().await;
    let many = "insert into event (event_id, aggregate_id, aggregate_version, partition, type,
           correlation_id, headers, payload)
         select gen_random_uuid(), gen_random_uuid(), 1, 7, 'Changed', gen_random_uuid(), '{}', ''
         from generate_series(1, 45000)";
    producer.database.read().await.unwrap().execute(many, &[]).await.unwrap();
    // Numbers a portion with what it appends itself.
    producer.change(Uuid::now_v7(), "Changed", "").await;
    assert_eq!(producer.head().await, 20_000);
    tokio::spawn(producer.log.clone().run(producer.stop.clone()));
    until("all is numbered", async || producer.head().await == 45_001).await;
    let sql = "select count(*) from event_position join event using (id)
         where position = id";
    assert_eq!(number(&producer.database, sql).await, 45_001);
}

#[tokio::test]
async fn a_cursor_of_another_log_is_refused() {
    let producer = Producer::start().await;
    producer.change(Uuid::now_v7(), "Changed", "").await;
    until("numbered", async || producer.head().await == 1).await;
    let foreign = SubscribeRequest { incarnation: Uuid::now_v7().into(), ..Default::default() };
    let cursors = vec![Cursor { partition: 3, position: 2, ..Cursor::default() }];
    let beyond = SubscribeRequest { cursors, ..Default::default() };
    for request in [foreign, beyond] {
        assert_eq!(producer.subscribe(request).await.unwrap_err().code(), Code::FailedPrecondition);
    }
    let cursors = vec![Cursor { partition: 64, ..Cursor::default() }];
    let nowhere = SubscribeRequest { cursors, ..Default::default() };
    assert_eq!(producer.subscribe(nowhere).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn streams_end_at_shutdown() {
    let producer = Producer::start().await;
    let mut reader = Reader::open(&producer, SubscribeRequest::default()).await;
    while reader.caught_up.is_none() {
        reader.read().await;
    }
    producer.stop.cancel();
    assert!(reader.stream.message().await.unwrap().is_none());
    producer.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_event_that_cannot_be_appended_undoes_its_transaction() {
    let producer = Producer::serving().await;
    let counter = Uuid::now_v7();
    producer.change(counter, "Changed", "").await;
    let twice = Draft::new("Changed", counter, 1, counter, Vec::new());
    let other = async {
        let mut tx = producer.database.begin().await?;
        change(&mut tx, Uuid::now_v7(), "Changed", "").await?;
        eventlog::append(&mut tx, &[twice]).await?;
        tx.commit().await
    };
    assert!(other.await.is_err());
    for sql in ["select count(*) from counter", "select count(*) from event"] {
        assert_eq!(number(&producer.database, sql).await, 1);
    }
}

#[tokio::test]
async fn a_transaction_with_a_failed_statement_does_not_commit() {
    let made = testkit::database(&[]).await;
    let mut tx = made.database.begin().await.unwrap();
    tx.execute("select 1 / 0", &[]).await.unwrap_err();
    assert!(tx.commit().await.is_err(), "what was lost must not look done");

    let mut tx = made.database.begin().await.unwrap();
    tx.batch("savepoint here").await.unwrap();
    tx.execute("select 1 / 0", &[]).await.unwrap_err();
    tx.batch("rollback to savepoint here").await.unwrap();
    tx.commit().await.unwrap();
}
