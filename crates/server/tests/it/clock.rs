//! A clock that a test moves, on a real Postgres.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::time::Duration;

use base::Error;
use pg::{
    Database,
    task::{self, Due, Handler, Outcome, Task},
};
use server::{
    Service, ServiceBuilder,
    clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient},
};
use testkit::stage::{As, Stage};
use testkit::{number, until};
use tonic::{Code, Status};
use uuid::Uuid;

const DAY: Duration = Duration::from_hours(24);

/// Does whatever is due.
struct Cook;

impl Handler for Cook {
    async fn handle(&self, _: &Task) -> Result<Outcome, Error> {
        Ok(Outcome::Done)
    }
}

static KITCHEN: Service = Service {
    name: "kitchen",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.work(Cook);
        Ok(())
    },
};

async fn kitchen(clock: bool) -> Stage {
    let change = |settings: &mut settings::Settings| settings.testing.clock = clock;
    Stage::open_with(&[&KITCHEN], crate::support::api(), change).await.unwrap()
}

async fn advance(stage: &Stage, caller: As, by: Duration) -> Result<(), Status> {
    let request = AdvanceRequest { duration: Some(by.try_into().unwrap()) };
    let request = stage.call(caller, request);
    ClockServiceClient::new(stage.channel()).advance(request).await.map(drop)
}

async fn schedule(database: &Database, kind: &str, due: Due) {
    let mut tx = database.begin().await.unwrap();
    task::schedule(&mut tx, kind, Uuid::now_v7(), due, b"").await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn what_is_due_in_a_week_is_done_when_the_clock_has_moved_a_week() {
    let stage = kitchen(true).await;
    let (database, admin) = (stage.database("kitchen"), As::Admin(Uuid::now_v7()));
    schedule(&database, "rest", Due::After(3 * DAY)).await;
    schedule(&database, "serve", Due::After(7 * DAY)).await;
    let left = async || number(&database, "select count(*) from task").await;
    assert_eq!(left().await, 2);

    advance(&stage, admin, 4 * DAY).await.unwrap();
    until("the first done", async || left().await == 1).await;
    assert_eq!(number(&database, "select count(*) from task where kind = 'serve'").await, 1);
    // What is scheduled now is due by the moved clock.
    schedule(&database, "late", Due::After(4 * DAY)).await;
    advance(&stage, admin, 3 * DAY).await.unwrap();
    until("the second done", async || left().await == 1).await;
    assert_eq!(number(&database, "select count(*) from task where kind = 'late'").await, 1);
    stage.close().await;
}

#[tokio::test]
async fn only_an_admin_moves_the_clock_and_only_ahead() {
    let stage = kitchen(true).await;
    let id = Uuid::now_v7();
    for (caller, by, code) in [
        (As::Nobody, DAY, Code::Unauthenticated),
        (As::Seller(id), DAY, Code::PermissionDenied),
        (As::Service("kitchen"), DAY, Code::PermissionDenied),
        (As::Admin(id), Duration::ZERO, Code::InvalidArgument),
        (As::Admin(id), 4_000 * DAY, Code::InvalidArgument),
    ] {
        let refused = advance(&stage, caller, by).await.unwrap_err();
        assert_eq!(refused.code(), code, "{caller:?}, {by:?}: {refused}");
    }
    let moved = "select count(*) from clock where ahead <> interval '0'";
    assert_eq!(number(&stage.database("kitchen"), moved).await, 0);
    stage.close().await;
}

#[tokio::test]
async fn nobody_moves_a_clock_that_is_not_for_tests() {
    let stage = kitchen(false).await;
    let refused = advance(&stage, As::Admin(Uuid::now_v7()), DAY).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    stage.close().await;
}

#[tokio::test]
async fn what_is_due_is_found_by_its_index() {
    let database = testkit::database(&[]).await.database;
    let mut reader = database.read().await.unwrap();
    for sql in [
        "insert into task (kind, key, payload, due_at)
         select 'test', gen_random_uuid(), '', now() + n * interval '1 minute'
         from generate_series(1, 10000) n",
        "analyze task",
    ] {
        reader.execute(sql, &[]).await.unwrap();
    }
    let explain = "explain select id from task where due_at <= clock_now()
        order by due_at limit 16 for update skip locked";
    let plan = reader.query(explain, &[]).await.unwrap();
    let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Cond: (due_at <= clock_now())"), "{plan}");
}
