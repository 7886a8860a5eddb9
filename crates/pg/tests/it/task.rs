//! Durable timers on a real Postgres.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use base::Error;
use pg::{
    Database,
    task::{self, Due, Handler, Outcome, Task, Worker},
};
use testkit::{number, until};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LEFT: &str = "select count(*) from task";

async fn schedule(database: &Database, kind: &str, key: Uuid, due: Due, payload: &[u8]) {
    let mut tx = database.begin().await.unwrap();
    task::schedule(&mut tx, kind, key, due, payload).await.unwrap();
    tx.commit().await.unwrap();
}

/// Counts how often it ran; does as the task's payload says.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicU32>, Arc<Notify>);

impl Handler for Counting {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        match task.payload.as_slice() {
            b"fail once" if before == 0 => Err(Error::internal("once")),
            b"again once" if before == 0 => Ok(Outcome::Again(Duration::ZERO)),
            b"wait" => {
                self.1.notified().await;
                Ok(Outcome::Done)
            }
            b"hang" => std::future::pending().await,
            _ => Ok(Outcome::Done),
        }
    }
}

#[tokio::test]
async fn a_task_is_done_when_it_is_due_and_until_it_succeeds() {
    let database = testkit::database(&[]).await.database;
    let (handler, stop) = (Counting::default(), CancellationToken::new());
    tokio::spawn(Worker::new(database.clone(), handler.clone()).run(stop.clone()));
    let key = Uuid::now_v7();
    let (soon, tomorrow) = (SystemTime::now(), SystemTime::now() + Duration::from_hours(24));
    for (due, payload, runs) in [
        (Due::At(soon), &b"fail once"[..], 2),
        (Due::After(Duration::ZERO), b"again once", 2),
        (Due::After(Duration::from_millis(300)), b"", 1),
    ] {
        handler.0.store(0, Ordering::Relaxed);
        schedule(&database, "other", key, Due::At(tomorrow), b"").await;
        schedule(&database, "test", key, due, payload).await;
        until("done", async || number(&database, LEFT).await == 1).await;
        assert_eq!(handler.0.load(Ordering::Relaxed), runs, "{payload:?}");
    }
    let mut tx = database.begin().await.unwrap();
    task::remove(&mut tx, "other", key).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(number(&database, LEFT).await, 0);
}

#[tokio::test]
async fn a_task_whose_runner_died_comes_again() {
    let database = testkit::database(&[]).await.database;
    schedule(&database, "test", Uuid::now_v7(), Due::After(Duration::ZERO), b"hang").await;
    let dying = Counting::default();
    let lease = Duration::from_millis(500);
    let worker = Worker::new(database.clone(), dying.clone()).lease(lease);
    let running = tokio::spawn(worker.run(CancellationToken::new()));
    until("begun", async || dying.0.load(Ordering::Relaxed) == 1).await;
    running.abort();
    let _ = running.await;

    let next = Counting::default();
    let worker = Worker::new(database.clone(), next.clone()).lease(lease);
    tokio::spawn(worker.run(CancellationToken::new()));
    until("begun again", async || next.0.load(Ordering::Relaxed) == 1).await;
    assert_eq!(dying.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_task_scheduled_anew_while_it_runs_runs_anew() {
    let database = testkit::database(&[]).await.database;
    let (handler, key) = (Counting::default(), Uuid::now_v7());
    schedule(&database, "test", key, Due::After(Duration::ZERO), b"wait").await;
    tokio::spawn(Worker::new(database.clone(), handler.clone()).run(CancellationToken::new()));
    until("begun", async || handler.0.load(Ordering::Relaxed) == 1).await;
    schedule(&database, "test", key, Due::After(Duration::ZERO), b"").await;
    until("run anew", async || handler.0.load(Ordering::Relaxed) == 2).await;
    handler.1.notify_one();
    until("done", async || number(&database, LEFT).await == 0).await;
}
