//! A command that calls somebody else, with its caller gone at each step.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use base::{
    Error,
    error::{Kind, not_found},
};
use pg::{
    Database, Tx,
    idempotency::Reply,
    in_doubt::{Begun, Call, Commands, Settled},
};
use prost::Message;
use rpc::Failure;
use testkit::{number, until};
use tonic::Status;
use uuid::Uuid;

/// What the command answers.
#[derive(Clone, PartialEq, Message)]
struct Thing {
    #[prost(string, tag = "1")]
    state: String,
}

/// How the other side takes the first call; from then on it does what it is asked, unless it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Does,
    Refuses,
    NeverHearsOfIt,
    DoesAndIsNotHeard,
    IsNotHeard,
}

/// The other side. It does a thing once, however often it is asked.
#[derive(Clone)]
struct Other {
    first: First,
    asked: Arc<Mutex<u32>>,
    done: Arc<Mutex<BTreeSet<Uuid>>>,
}

impl Other {
    fn ask(&self, thing: Uuid) -> Result<(), Failure> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        let first =
            if *asked == 1 || self.first == First::Refuses { self.first } else { First::Does };
        if matches!(first, First::Does | First::DoesAndIsNotHeard) {
            self.done.lock().unwrap().insert(thing);
        }
        match first {
            First::Does => Ok(()),
            First::Refuses => Err(Failure::Refused(
                Error::new(Kind::Conflict, "REFUSED", "the other side refuses").into(),
            )),
            First::NeverHearsOfIt => Err(Failure::NeverRan(Status::unavailable("away"))),
            First::DoesAndIsNotHeard | First::IsNotHeard => {
                Err(Failure::Unknown(Status::unavailable("silent")))
            }
        }
    }
}

struct Attempt {
    thing: Uuid,
    number: i32,
}

impl Call for Other {
    const TASK: &'static str = "ask";
    type Attempt = Attempt;
    type Outcome = Result<(), Failure>;
    type Answer = Thing;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.thing
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        // The caller can be gone before it, and before its answer.
        tokio::task::yield_now().await;
        let answer = self.ask(attempt.thing);
        tokio::task::yield_now().await;
        answer
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<Thing>, Error> {
        let (_, attempts) = lock(tx, attempt.thing).await?;
        let alone = attempt.number == 1 && attempts == 1;
        let (state, settled) = match outcome {
            Ok(()) => ("done", Settled::Done(thing("done"))),
            Err(Failure::Refused(status)) => ("idle", Settled::Undone(status.into())),
            Err(Failure::NeverRan(status)) if alone => ("idle", Settled::Undone(status.into())),
            Err(failure) => return Ok(Settled::InDoubt(failure.into())),
        };
        let sql = "update thing set state = $2, attempts = 0 where id = $1";
        tx.execute(sql, &[&attempt.thing, &state]).await?;
        Ok(settled)
    }
}

fn thing(state: &str) -> Thing {
    Thing { state: state.to_owned() }
}

async fn lock(tx: &mut Tx, thing: Uuid) -> Result<(String, i32), Error> {
    let sql = "select state, attempts from thing where id = $1 for update";
    let row = tx.query_opt(sql, &[&thing]).await?.ok_or_else(not_found)?;
    Ok((row.get(0), row.get(1)))
}

async fn attempt(tx: &mut Tx, thing: Uuid) -> Result<Attempt, Error> {
    let sql = "update thing set state = 'asking', attempts = attempts + 1 where id = $1
               returning attempts";
    Ok(Attempt { thing, number: tx.query_one(sql, &[&thing]).await?.get(0) })
}

struct Service {
    database: Database,
    commands: Commands<Other>,
    other: Other,
    thing: Uuid,
}

impl Service {
    /// With one thing that nobody has asked for yet.
    async fn new(database: &Database, first: First) -> Self {
        let thing = Uuid::now_v7();
        let mut reader = database.read().await.unwrap();
        reader.execute("delete from thing", &[]).await.unwrap();
        reader.execute("insert into thing values ($1, 'idle', 0)", &[&thing]).await.unwrap();
        let (asked, done) = (Arc::default(), Arc::default());
        let other = Other { first, asked, done };
        let commands = Commands::new(database.clone(), Duration::from_secs(1), other.clone());
        Self { database: database.clone(), commands, other, thing }
    }

    async fn run(&self, key: &str) -> Result<Reply<Thing>, Error> {
        let begin = async |tx: &mut Tx| {
            Ok(match lock(tx, self.thing).await?.0.as_str() {
                "done" => Begun::Already(thing("done")),
                _ => Begun::Attempt(attempt(tx, self.thing).await?),
            })
        };
        let command = testkit::command(&format!("{}-{key}", self.thing));
        self.commands.run(&command, self.thing, begin).await
    }

    /// As the task does when its time has come, until there is none.
    async fn resume(&self) {
        until("no task is left", async || {
            if number(&self.database, "select count(*) from task").await == 0 {
                return true;
            }
            let join = async |tx: &mut Tx| match lock(tx, self.thing).await?.0.as_str() {
                "asking" => attempt(tx, self.thing).await.map(Some),
                _ => Ok(None),
            };
            if self.commands.resume(self.thing, join).await.is_ok() {
                let mut reader = self.database.read().await.unwrap();
                reader.execute("delete from task", &[]).await.unwrap();
            }
            false
        })
        .await;
    }

    /// Nothing is under way, here and there it is the same, and no key waits for an answer.
    async fn check(&self, when: &str) {
        let done = self.other.done.lock().unwrap().contains(&self.thing);
        let state = if done { "done" } else { "idle" };
        let sql = "select count(*) from thing where state = $1 and attempts = 0";
        let mut reader = self.database.read().await.unwrap();
        let row = reader.query_one(sql, &[&state]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1, "{when}: {state} on the other side");
        drop(reader);
        let open = "select count(*) from idempotency where response is null";
        assert_eq!(number(&self.database, open).await, 0, "{when}: keys without an answer");
    }

    /// Waits until whatever was sent before has been carried out, or undone.
    async fn quiet(&self) {
        let sql = "select count(*) from pg_stat_activity where datname = current_database()
                   and pid <> pg_backend_pid() and state <> 'idle'";
        until("other sessions are idle", async || number(&self.database, sql).await == 0).await;
    }
}

/// Polls it so often at most; none when that was not enough. Then it is gone, as its process would be.
async fn for_polls<T>(polls: usize, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

async fn database() -> Database {
    let things = [(
        "V1__thing",
        "create table thing (id uuid primary key, state text not null, attempts int not null)",
    )];
    testkit::database(Vec::leak(things.into())).await.database
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_with_one_key_with_two_and_again_do_not_wait_for_each_other() {
    let database = database().await;
    for round in 0..60 {
        let first = if round % 2 == 0 { First::NeverHearsOfIt } else { First::IsNotHeard };
        let service = Arc::new(Service::new(&database, first).await);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            let service = Arc::clone(&service);
            let key = if caller % 2 == 0 { "one" } else { "two" };
            // As clients do, until there is an answer.
            callers.spawn(async move {
                for _ in 0..10 {
                    match service.run(key).await {
                        Ok(reply) => return reply.message().clone(),
                        Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
                    }
                }
                panic!("no answer");
            });
        }
        let answers = callers.join_all().await;
        assert!(answers.iter().all(|answer| *answer == thing("done")), "{answers:?}");
        service.resume().await;
        service.check(&format!("round {round}")).await;
    }
}

#[tokio::test]
async fn wherever_a_caller_is_gone_both_sides_agree_in_the_end_and_the_key_has_its_answer() {
    let database = database().await;
    for first in [
        First::Does,
        First::Refuses,
        First::NeverHearsOfIt,
        First::DoesAndIsNotHeard,
        First::IsNotHeard,
    ] {
        let (mut polls, mut answered) = (0, false);
        while !answered {
            polls += 1;
            let when = format!("{first:?}, gone after {polls} polls");
            let service = Service::new(&database, first).await;
            let answer = for_polls(polls, service.run("key")).await;
            answered = answer.is_some();
            service.quiet().await;
            service.resume().await;
            // Whoever did not hear of it asks again; whose first call that was asks once more.
            let mut again = service.run("key").await;
            service.resume().await;
            if again.is_err() {
                again = service.run("key").await;
            }
            assert_eq!(again.is_ok(), first != First::Refuses, "{when}: {again:?}");
            service.check(&when).await;
        }
        assert!(polls > 10, "{first:?}: {polls} polls");
    }
}
