//! What a consumer does with events that cannot be applied, now or ever.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use base::{Error, error::Kind};
use pg::Database;
use testkit::{number, until};
use uuid::Uuid;

use crate::support::{Note, Producer, consumer, consumer_of, heard, listener, listeners};

#[tokio::test]
async fn an_event_at_fault_is_set_aside_with_all_that_follow_it() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let faulty = |text: &str| match text {
        "bad" => Err(Error::new(Kind::Internal, "BAD", "cannot be applied")),
        _ => Ok(()),
    };
    let (ill, well) = (Uuid::now_v7(), Uuid::now_v7());
    producer.change(ill, "Changed", "good").await;
    producer.change(well, "Changed", "good").await;
    producer.change(ill, "Changed", "bad").await;
    producer.change(ill, "Changed", "behind").await;
    producer.change(well, "Changed", "good").await;
    tokio::spawn(
        consumer(&producer, &listener, move |n| faulty(&n.text)).run(producer.stop.clone()),
    );
    until("the others go on", async || heard(&listener).await.len() == 3).await;

    // Also what comes later, also after a restart.
    producer.change(ill, "Changed", "later").await;
    producer.change(well, "Changed", "good").await;
    until("the others go on", async || heard(&listener).await.len() == 4).await;
    assert!(
        heard(&listener)
            .await
            .iter()
            .all(|(counter, _, text)| text == "good" && *counter == well || *counter == ill)
    );

    let sql = "select correlation_id, position, error from parked order by position";
    let parked = listener.read().await.unwrap().query(sql, &[]).await.unwrap();
    let errors: Vec<Option<String>> = parked.iter().map(|row| row.get(2)).collect();
    assert_eq!(errors, [Some("BAD: cannot be applied".to_owned()), None, None]);
    assert!(parked.iter().all(|row| row.get::<_, Uuid>(0) == ill));
    assert!(telemetry::metrics().contains("hansang_consumer_parked{consumer=\"listener\""));
}

#[tokio::test]
async fn an_event_that_makes_its_policy_panic_is_parked_and_the_process_lives() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let (ill, well) = (Uuid::now_v7(), Uuid::now_v7());
    producer.change(ill, "Changed", "bad").await;
    producer.change(well, "Changed", "good").await;
    let policy = |note: &Note| match note.text.as_str() {
        "bad" => panic!("a sum overflowed"),
        _ => Ok(()),
    };
    tokio::spawn(consumer(&producer, &listener, policy).run(producer.stop.clone()));
    until("the other goes on", async || heard(&listener).await.len() == 1).await;
    until("it is parked", async || number(&listener, "select count(*) from parked").await == 1)
        .await;
    let sql = "select error from parked";
    let error: String = listener.read().await.unwrap().query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(error, "INTERNAL: the policy panicked: a sum overflowed");
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_where_it_would_be_appended() {
    let producer = Producer::start().await;
    let mut tx = producer.database.begin().await.unwrap();
    let text = "x".repeat(eventlog::LARGEST);
    let refused =
        crate::support::change(&mut tx, Uuid::now_v7(), "Changed", &text).await.unwrap_err();
    assert_eq!(refused.reason(), "EVENT_TOO_LARGE");
}

#[tokio::test]
async fn an_outage_is_waited_for() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let counter = Uuid::now_v7();
    let outages = AtomicU32::new(0);
    let away = move |_: &Note| match outages.fetch_add(1, Ordering::Relaxed) {
        0..5 => Err(Error::unavailable("AWAY", "away")),
        _ => Ok(()),
    };
    producer.change(counter, "Changed", "one").await;
    producer.change(counter, "Changed", "two").await;
    tokio::spawn(consumer(&producer, &listener, away).run(producer.stop.clone()));
    until("heard", async || heard(&listener).await.len() >= 2).await;
    let heard = heard(&listener).await;
    assert_eq!(heard.iter().map(|(.., text)| text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(number(&listener, "select count(*) from parked").await, 0);
}

#[tokio::test]
async fn what_was_set_aside_is_applied_in_order_once_an_operator_wants_it() {
    let (producer, listener) = (Producer::start().await, listener().await);
    let healed = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&healed);
    let policy = move |note: &Note| match note.text.as_str() {
        "bad" if !now.load(Ordering::Relaxed) => {
            Err(Error::new(Kind::Internal, "BAD", "cannot be applied"))
        }
        _ => Ok(()),
    };
    let (ill, well) = (Uuid::now_v7(), Uuid::now_v7());
    for text in ["good", "bad", "behind"] {
        producer.change(ill, "Changed", text).await;
    }
    producer.change(well, "Changed", "good").await;
    tokio::spawn(consumer(&producer, &listener, policy).run(producer.stop.clone()));
    until("the other goes on", async || heard(&listener).await.len() == 2).await;

    let want = "update parked set replay = true, error = null";
    listener.read().await.unwrap().execute(want, &[]).await.unwrap();
    let again = "select count(*) from parked where error = 'BAD: cannot be applied' and not replay";
    until("it fails again", async || number(&listener, again).await == 1).await;
    assert_eq!(heard(&listener).await.len(), 2);

    healed.store(true, Ordering::Relaxed);
    listener.read().await.unwrap().execute(want, &[]).await.unwrap();
    until("nothing is set aside", async || {
        number(&listener, "select count(*) from parked").await == 0
    })
    .await;
    producer.change(ill, "Changed", "later").await;
    until("it goes on", async || heard(&listener).await.len() == 5).await;
    let texts: Vec<_> =
        heard(&listener).await.into_iter().filter(|(id, ..)| *id == ill).map(|(.., t)| t).collect();
    assert_eq!(texts, ["good", "bad", "behind", "later"]);
}

#[tokio::test]
async fn one_replica_applies_at_a_time_and_the_other_once_that_is_gone() {
    let (producer, [one, two]) = (Producer::start().await, listeners().await);
    let applied = Arc::new([const { AtomicU32::new(0) }; 2]);
    let run = |replica: usize, database: &Database| {
        let applied = Arc::clone(&applied);
        let count = move |_: &Note| {
            applied[replica].fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        tokio::spawn(consumer(&producer, database, count).run(producer.stop.clone()))
    };
    let counter = Uuid::now_v7();
    let next = async |all: usize| {
        producer.change(counter, "Changed", "again").await;
        until("heard", async || heard(&two).await.len() == all).await;
    };
    let first = run(0, &one);
    next(1).await;
    let _second = run(1, &two);
    for all in 2..=20 {
        next(all).await;
    }
    assert_eq!(applied[1].load(Ordering::Relaxed), 0, "it stands by");

    first.abort();
    next(21).await;
    assert_eq!(applied[1].load(Ordering::Relaxed), 1);

    let holder = "select coalesce(sum(pid), 0)::bigint from pg_locks
        where locktype = 'advisory' and granted
          and database = (select oid from pg_database where datname = current_database())";
    let before = number(&two, holder).await;
    let end = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(two.read().await.unwrap().query(end, &[]).await.unwrap().len(), 1, "one lock");
    until("it takes the lock again", async || {
        let now = number(&two, holder).await;
        now != 0 && now != before
    })
    .await;
    next(22).await;
    let versions = heard(&two).await.into_iter().map(|(_, version, _)| version);
    assert_eq!(versions.collect::<Vec<_>>(), (1..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_that_one_replica_cannot_run_is_run_by_another() {
    let (producer, [one, two]) = (Producer::start().await, listeners().await);
    // Nobody listens there.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = dead.local_addr().unwrap();
    drop(dead);
    let run = |address, database: &Database| {
        let consumer = consumer_of(address, database, |_: &Note| Ok(()));
        tokio::spawn(consumer.run(producer.stop.clone()))
    };
    let _first = run(nowhere, &one);
    let lock = "select count(*) from pg_locks where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())";
    until("the first has the lock", async || number(&two, lock).await == 1).await;

    let begun = std::time::Instant::now();
    let _second = run(producer.address, &two);
    producer.change(Uuid::now_v7(), "Changed", "heard").await;
    until("the other runs it", async || heard(&two).await.len() == 1).await;
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}
