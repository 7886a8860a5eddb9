//! What goes wrong, drawn from the seed: which fault comes when, to whom, and for how
//! long is decided before anything is known of the system.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::sleep;

use crate::{
    dice::Dice,
    operator,
    postgres::connect,
    shop::Shop,
    system::{Slot, System},
};

/// Kinds of faults, by how often they come.
const KINDS: &[(u32, Kind)] = &[
    (34, Kind::Kill),
    (12, Kind::Pause),
    (3, Kind::StopPostgres),
    (12, Kind::EndSessions),
    (2, Kind::KillBackend),
    (11, Kind::Cut),
    (9, Kind::Delay),
    (9, Kind::Freeze),
    (5, Kind::Clock),
    (3, Kind::RefuseRows),
];
/// Faults that last at the same time, at most.
const AT_ONCE: usize = 3;
/// A database that is to refuse rows, and the table that only its consumers write to.
const REFUSING: &[(&str, &str)] = &[("notification", "notification")];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill,
    Pause,
    StopPostgres,
    EndSessions,
    KillBackend,
    Cut,
    Delay,
    Freeze,
    Clock,
    RefuseRows,
}

impl Kind {
    /// As the progress shows it.
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Pause => "stopped",
            Self::StopPostgres => "postgres",
            Self::EndSessions => "sessions",
            Self::KillBackend => "backends",
            Self::Cut => "cut",
            Self::Delay => "delayed",
            Self::Freeze => "frozen",
            Self::Clock => "clock",
            Self::RefuseRows => "rows",
        }
    }
}

/// A fault, with everything that was drawn for it.
#[derive(Debug)]
struct Fault {
    kind: Kind,
    /// Numbers that choose whom it hits.
    whom: Vec<usize>,
    /// How long it lasts.
    lasts: Duration,
    /// How much, where there is more or less of it.
    size: i64,
}

impl Fault {
    fn draw(dice: &mut Dice) -> Self {
        let kind = dice.weighed(KINDS);
        let many = match kind {
            Kind::Kill => dice.weighed(&[(70, 1), (20, 2), (10, 3)]),
            _ => 1,
        };
        let number = |dice: &mut Dice| usize::try_from(dice.between(0..=999_999)).unwrap_or(0);
        let whom = (0..many).map(|_| number(dice)).collect();
        let lasts = match kind {
            Kind::Kill => dice.millis(0..=1_500),
            Kind::Pause => dice.millis(200..=6_000),
            Kind::StopPostgres => dice.millis(0..=2_000),
            Kind::Delay => dice.millis(1_000..=6_000),
            Kind::Freeze => dice.millis(500..=12_000),
            Kind::RefuseRows => dice.millis(1_000..=3_000),
            Kind::EndSessions | Kind::KillBackend | Kind::Cut | Kind::Clock => Duration::ZERO,
        };
        Self { kind, whom, lasts, size: dice.between(0..=99) }
    }
}

/// How many of each kind there were.
#[derive(Default)]
pub(crate) struct Counted(Mutex<BTreeMap<&'static str, u64>>);

impl Counted {
    pub(crate) fn by_kind(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn one_more(&self, kind: Kind) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted.entry(kind.name()).or_default() += 1;
    }
}

/// Has things go wrong until the shop closes; each fault that has begun is put right before this
/// ends.
pub(crate) async fn unleash(shop: &Shop, counted: &Counted) {
    let mut dice = Dice::of(shop.seed, "faults");
    let mut lasting = FuturesUnordered::new();
    loop {
        let calm = dice.percent(8);
        let pause = if calm { dice.millis(2_000..=5_000) } else { dice.millis(100..=1_300) };
        let fault = Fault::draw(&mut dice);
        let mut rest = Box::pin(sleep(pause));
        loop {
            tokio::select! {
                () = shop.closing.cancelled() => break,
                () = &mut rest => break,
                Some(()) = lasting.next() => {}
            }
        }
        while lasting.len() >= AT_ONCE {
            lasting.next().await;
        }
        if shop.closing.is_cancelled() {
            break;
        }
        counted.one_more(fault.kind);
        lasting.push(strike(shop, fault));
    }
    while lasting.next().await.is_some() {}
}

async fn strike(shop: &Shop, fault: Fault) {
    let system = &shop.system;
    let slots: Vec<&Slot> =
        fault.whom.iter().map(|at| &system.slots()[at % system.slots().len()]).collect();
    if [Kind::Kill, Kind::StopPostgres, Kind::KillBackend].contains(&fault.kind) {
        system.mostly_ready().await;
    }
    match fault.kind {
        Kind::Kill => {
            for slot in slots {
                let Fault { lasts, .. } = fault;
                shop.history.fault(format!("{} is killed, again after {lasts:?}", slot.label));
                system.kill(slot, lasts);
            }
        }
        Kind::Pause => {
            if system.pause(slots[0]) {
                let label = &slots[0].label;
                shop.history.fault(format!("{label} is stopped for {:?}", fault.lasts));
                sleep(fault.lasts).await;
                system.resume(slots[0]);
            }
        }
        Kind::StopPostgres => {
            let mut postgres = system.postgres.lock().await;
            shop.history.fault(format!("Postgres is stopped for {:?}", fault.lasts));
            postgres.stop_immediately().await;
            sleep(fault.lasts).await;
            postgres.start().await;
            shop.history.fault("Postgres is up again".to_owned());
        }
        Kind::EndSessions => end_sessions(shop, &fault).await,
        Kind::KillBackend => kill_backend(shop, &fault).await,
        Kind::Cut | Kind::Delay | Kind::Freeze => on_the_way(shop, &fault).await,
        Kind::Clock => {
            // Mostly hours; now and then more than a deposit is waited for.
            let hours = if fault.size < 25 { 8 * 24 } else { 1 + fault.size / 25 };
            let hours = u64::try_from(hours).unwrap_or_default();
            operator::time_passes(shop, Duration::from_hours(hours)).await;
        }
        Kind::RefuseRows => refuse_rows(shop, &fault).await,
    }
}

/// The ways that a fault hits: mostly that of one service, now and then all.
fn ways(system: &System, fault: &Fault) -> Vec<&'static str> {
    let all: Vec<_> = system.proxies().iter().map(|(name, _)| *name).collect();
    if fault.size < 80 { vec![all[fault.whom[0] % all.len()]] } else { all }
}

async fn on_the_way(shop: &Shop, fault: &Fault) {
    let hit = ways(&shop.system, fault);
    let proxies: Vec<_> =
        shop.system.proxies().iter().filter(|(name, _)| hit.contains(name)).collect();
    let whose = hit.join(", ");
    match fault.kind {
        Kind::Cut => {
            shop.history.fault(format!("connections to Postgres are cut: {whose}"));
            for (_, proxy) in &proxies {
                proxy.cut();
            }
        }
        Kind::Delay => {
            let delay = Duration::from_millis(5 + u64::try_from(fault.size).unwrap_or(0) * 3);
            let lasts = fault.lasts;
            shop.history.fault(format!("Postgres is {delay:?} away for {lasts:?}: {whose}"));
            for (_, proxy) in &proxies {
                proxy.delay(delay);
            }
            sleep(fault.lasts).await;
            for (_, proxy) in &proxies {
                proxy.delay(Duration::ZERO);
            }
        }
        _ => {
            let lasts = fault.lasts;
            shop.history.fault(format!("connections to Postgres freeze for {lasts:?}: {whose}"));
            for (_, proxy) in &proxies {
                proxy.freeze();
            }
            sleep(fault.lasts).await;
            // Then they are gone, or go on with what waits.
            for (_, proxy) in proxies {
                if fault.size % 2 == 0 {
                    proxy.cut();
                }
                proxy.thaw();
            }
        }
    }
}

/// Ends sessions of a service, or only what they are doing, as an administrator does.
async fn end_sessions(shop: &Shop, fault: &Fault) {
    let Some(client) = connect(&shop.system.admin).await else { return };
    let all = shop.system.proxies();
    let database = System::database(all[fault.whom[0] % all.len()].0);
    let (sql, what) = match fault.size {
        0..40 => (
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
            "all sessions are ended",
        ),
        40..70 => (
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1
             order by md5(pid::text) limit 1",
            "one session is ended",
        ),
        _ => (
            "select pg_cancel_backend(pid) from pg_stat_activity where datname = $1",
            "statements are cancelled",
        ),
    };
    shop.history.fault(format!("{database}: {what}"));
    let _ = client.query(sql, &[&database]).await;
}

/// Kills one backend, upon which Postgres ends all and recovers.
async fn kill_backend(shop: &Shop, fault: &Fault) {
    let _one_at_a_time = shop.system.postgres.lock().await;
    let Some(client) = connect(&shop.system.admin).await else { return };
    let sql = "select pid from pg_stat_activity where datname like 'hansang%' order by pid";
    let Ok(rows) = client.query(sql, &[]).await else { return };
    if let Some(row) = rows.get(fault.whom[0] % rows.len().max(1)) {
        let pid: i32 = row.get(0);
        shop.history.fault(format!("backend {pid} is killed"));
        let pid = nix::unistd::Pid::from_raw(pid);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

/// A table takes no rows for a while: events that need it are set aside, and an operator has them
/// applied afterwards.
async fn refuse_rows(shop: &Shop, fault: &Fault) {
    let (service, table) = REFUSING[fault.whom[0] % REFUSING.len()];
    let mut config = shop.system.admin.clone();
    config.dbname(System::database(service));
    let refuse = format!(
        "set lock_timeout = '2s';
         alter table {table} add constraint chaos check (false) not valid"
    );
    let Some(client) = connect(&config).await else { return };
    if client.batch_execute(&refuse).await.is_err() {
        return;
    }
    shop.history.fault(format!("{service}: {table} takes no rows for {:?}", fault.lasts));
    sleep(fault.lasts).await;
    let allow =
        format!("set lock_timeout = '2s'; alter table {table} drop constraint if exists chaos");
    loop {
        if let Some(client) = connect(&config).await
            && client.batch_execute(&allow).await.is_ok()
        {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    shop.history.fault(format!("{service}: {table} takes rows again"));
}
