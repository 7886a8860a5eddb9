//! Durable timers in the service's own database: something is done, not before
//! its time and at least once, whatever dies meanwhile. A handler is therefore
//! safe to repeat. It runs outside any transaction, under a lease: a task whose
//! runner died is run again when the lease is over.
//!
//! Time is that of [`clock`](crate::clock).

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use base::{Error, backoff::Backoff};
use prometheus_client::encoding::EncodeLabelSet;
use telemetry::{Counters, Gauges, Seconds, counters, gauges, seconds};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{Database, Tx};

/// How often to look for what is due and was scheduled elsewhere; what was scheduled in this process
/// is known to the moment.
const TICK: Duration = Duration::from_secs(2);
/// How long a handler may take; then it is given up, and tried again.
const LEASE: Duration = Duration::from_secs(20);
/// Tasks carried out at once.
const AT_ONCE: usize = 16;
/// How soon after a failure a task is tried again, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long [`repeat`] waits when nothing more is due.
const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// When a task is due.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// So long after the transaction began.
    After(Duration),
    /// Then.
    At(SystemTime),
}

/// Something to be done.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is to be done: `cancel-payment`.
    pub kind: String,
    /// What it is about; there is one task of a kind for it.
    pub key: Uuid,
    /// What else there is to know.
    pub payload: Vec<u8>,
    /// How often it was begun, this time included.
    pub attempts: i32,
    id: i64,
    /// Changes whenever the task is scheduled or claimed: who still has it may end it.
    revision: i64,
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and forgotten.
    Done,
    /// Not yet: it is run again after this time.
    Again(Duration),
}

/// Does what is due.
pub trait Handler: Send + Sync + 'static {
    /// Carries out a task; may come more than once. An error is a reason to try again, later and
    /// later, and for ever.
    fn handle(&self, task: &Task) -> impl Future<Output = Result<Outcome, Error>> + Send;
}

/// Something to be scheduled, with nothing else to know of it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What is to be done.
    pub kind: &'static str,
    /// What it is about.
    pub key: Uuid,
    /// And when.
    pub due: Due,
}

impl Due {
    /// When, and how many seconds after the transaction began when it is not said.
    fn columns(self) -> (Option<SystemTime>, f64) {
        match self {
            Self::At(at) => (Some(at), 0.0),
            Self::After(after) => (None, after.as_secs_f64()),
        }
    }
}

/// Has something done once `tx` has committed. A task of this kind and key that is there already
/// is replaced.
pub async fn schedule(
    tx: &mut Tx,
    kind: &str,
    key: Uuid,
    due: Due,
    payload: &[u8],
) -> Result<(), Error> {
    let (at, after) = due.columns();
    tx.execute(
        "insert into task (kind, key, payload, due_at)
         values ($1, $2, $3, coalesce($4, clock_now() + $5 * interval '1 second'))
         on conflict on constraint task_unique do update
         set payload = excluded.payload, due_at = excluded.due_at, attempts = 0,
           revision = task.revision + 1, last_error = null",
        &[&kind, &key, &payload, &at, &after],
    )
    .await?;
    let scheduled = tx.scheduled();
    tx.once_committed(move || scheduled.notify_one());
    Ok(())
}

/// Has all of this done once `tx` has committed, as [`schedule`]; of two plans of one kind and key the
/// later counts.
pub async fn schedule_all(tx: &mut Tx, plans: &[Plan]) -> Result<(), Error> {
    if let [Plan { kind, key, due }] = plans {
        return schedule(tx, kind, *key, *due, &[]).await;
    }
    // A statement may not touch a row twice.
    let plans: BTreeMap<_, _> =
        plans.iter().map(|plan| ((plan.kind, plan.key), plan.due)).collect();
    if plans.is_empty() {
        return Ok(());
    }
    let (kinds, keys): (Vec<&str>, Vec<Uuid>) = plans.keys().copied().unzip();
    let (times, pauses): (Vec<_>, Vec<_>) = plans.values().map(|due| due.columns()).unzip();
    tx.execute(
        "insert into task (kind, key, payload, due_at)
         select kind, key, '', coalesce(at, clock_now() + pause * interval '1 second')
         from unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::float8[])
           as p (kind, key, at, pause)
         on conflict on constraint task_unique do update
         set payload = excluded.payload, due_at = excluded.due_at, attempts = 0,
           revision = task.revision + 1, last_error = null",
        &[&kinds, &keys, &times, &pauses],
    )
    .await?;
    Ok(())
}

/// Schedules the next run of a task that looks for what is due, again and again: at once when there is
/// more, otherwise a minute later. A migration has scheduled the first, under the nil key. Since it is
/// scheduled anew, the end of the run that calls this does not remove it.
pub async fn repeat(tx: &mut Tx, kind: &str, more: bool) -> Result<(), Error> {
    let due = Due::After(if more { Duration::ZERO } else { REPEAT_AFTER });
    schedule(tx, kind, Uuid::nil(), due, &[]).await
}

/// Forgets a task, if it is there. One that is being carried out right now goes on.
pub async fn remove(tx: &mut Tx, kind: &str, key: Uuid) -> Result<(), Error> {
    tx.execute("delete from task where kind = $1 and key = $2", &[&kind, &key]).await?;
    Ok(())
}

/// Carries out a service's tasks. Any number of replicas may.
pub struct Worker<H> {
    database: Database,
    handler: Arc<H>,
    lease: Duration,
}

impl<H> Clone for Worker<H> {
    fn clone(&self) -> Self {
        let (database, handler) = (self.database.clone(), Arc::clone(&self.handler));
        Self { database, handler, lease: self.lease }
    }
}

impl<H: Handler> Worker<H> {
    /// A worker on the tasks in `database`.
    pub fn new(database: Database, handler: H) -> Self {
        Self { database, handler: Arc::new(handler), lease: LEASE }
    }

    /// Gives a handler another time than 20 seconds.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Works until told to stop, then finishes what it has begun.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut begun, scheduled) = (JoinSet::new(), self.database.scheduled());
        // When the first is due, as far as this process knows.
        let mut next = None;
        loop {
            let free = AT_ONCE - begun.len();
            let claimed = if free == 0 { Ok(Vec::new()) } else { self.claim(free).await };
            let claimed = claimed.unwrap_or_else(|error| {
                tracing::warn!(%error, "durable tasks: database unavailable, retrying");
                Vec::new()
            });
            let more = claimed.len() == free && free > 0;
            for task in claimed {
                let span = tracing::info_span!("task", kind = task.kind);
                begun.spawn(self.clone().carry_out(task).instrument(span));
            }
            if more {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = begun.join_next() => {
                    resume_panic(ended);
                    // It may have to be repeated soon.
                    next = self.next().await.or(next);
                }
                () = scheduled.notified() => next = self.next().await.or(next),
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => next = None,
                _ = tick.tick() => {}
            }
        }
        while let Some(ended) = begun.join_next().await {
            resume_panic(ended);
        }
    }

    /// When the first task is due.
    async fn next(&self) -> Option<Instant> {
        let sql = "select extract(epoch from min(due_at) - clock_now())::float8 from task";
        let row = self.database.read().await.ok()?.query_one(sql, &[]).await.ok()?;
        let wait = Duration::try_from_secs_f64(row.get::<_, Option<f64>>(0)?.max(0.0)).ok()?;
        Instant::now().checked_add(wait)
    }

    /// Takes what is due, by moving it past the lease.
    async fn claim(&self, limit: usize) -> Result<Vec<Task>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self
            .database
            .read()
            .await?
            .query(
                "update task set due_at = clock_now() + $1 * interval '1 second',
                   attempts = attempts + 1, revision = revision + 1
                 where id in (select id from task where due_at <= clock_now()
                   order by due_at limit $2 for update skip locked)
                 returning id, kind, key, payload, attempts, revision",
                &[&self.lease.as_secs_f64(), &limit],
            )
            .await?;
        Ok(rows.iter().map(Task::from_row).collect())
    }

    async fn carry_out(self, task: Task) {
        let slow = || Error::unavailable("TASK_SLOW", "the task did not end within its lease");
        let outcome = match timeout(self.lease, self.handler.handle(&task)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(slow()),
        };
        self.count(&task.kind, &outcome);
        if let Err(error) = &outcome {
            let Task { kind, key, attempts, .. } = &task;
            tracing::warn!(%error, kind, %key, attempts, "task failed, retrying later");
        }
        // When this fails, the task runs again after its lease: a handler is safe to repeat.
        if let Err(error) = self.end(&task, outcome).await {
            tracing::warn!(%error, kind = task.kind, "task result not recorded, the task will run again");
        }
    }

    fn count(&self, kind: &str, outcome: &Result<Outcome, Error>) {
        let outcome = match outcome {
            Ok(Outcome::Done) => "done",
            Ok(Outcome::Again(_)) => "again",
            Err(_) => "failed",
        };
        let (service, task) = (self.database.service(), kind.to_owned());
        RUNS.get_or_create(&Run { service, task, outcome }).inc();
    }

    /// Records how it ended, unless somebody has scheduled or claimed it anew.
    async fn end(&self, task: &Task, outcome: Result<Outcome, Error>) -> Result<(), Error> {
        let mut connection = self.database.read().await?;
        let (pause, error) = match outcome {
            Ok(Outcome::Done) => {
                let sql = "delete from task where id = $1 and revision = $2";
                connection.execute(sql, &[&task.id, &task.revision]).await?;
                return Ok(());
            }
            Ok(Outcome::Again(pause)) => (pause, None),
            Err(error) => {
                let tries = u32::try_from(task.attempts - 1).unwrap_or_default();
                let pause = Backoff::new(AGAIN.0, AGAIN.1).after(tries).pause();
                (pause, Some(error.to_string()))
            }
        };
        connection
            .execute(
                "update task set due_at = clock_now() + $3 * interval '1 second', last_error = $4
                 where id = $1 and revision = $2",
                &[&task.id, &task.revision, &pause.as_secs_f64(), &error],
            )
            .await?;
        Ok(())
    }
}

impl Task {
    /// The error of a handler that does no tasks of this kind.
    pub fn unknown(&self) -> Error {
        Error::internal(format!("a task of no known kind: {}", self.kind))
    }

    fn from_row(row: &Row) -> Self {
        Self {
            id: row.get(0),
            kind: row.get(1),
            key: row.get(2),
            payload: row.get(3),
            attempts: row.get(4),
            revision: row.get(5),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Run {
    service: Arc<str>,
    task: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Labels {
    service: Arc<str>,
}

static RUNS: LazyLock<Counters<Run>> =
    LazyLock::new(|| counters("hansang.task.runs", "Durable tasks carried out"));
static WAITING: LazyLock<Gauges<Labels>> =
    LazyLock::new(|| gauges("hansang.task.waiting", "Durable tasks, due or not; 10,000 at most"));
static OVERDUE: LazyLock<Seconds<Labels>> =
    LazyLock::new(|| seconds("hansang.task.overdue", "How long the oldest due task has waited"));

/// Looks how many tasks a service has, and how long the oldest that is due has waited.
pub async fn measure(database: Database) -> Result<(), Error> {
    // However many there are, this reads no more.
    let sql =
        "select (select count(*) from (select from task order by due_at limit 10000) as counted),
           coalesce(greatest(extract(epoch from
             clock_now() - (select min(due_at) from task)), 0), 0)::float8";
    let row = database.read().await?.query_one(sql, &[]).await?;
    let labels = Labels { service: database.service() };
    WAITING.get_or_create(&labels).set(row.get(0));
    OVERDUE.get_or_create(&labels).set(row.get(1));
    Ok(())
}

/// A handler that panics takes the worker with it: the process then starts anew.
fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
