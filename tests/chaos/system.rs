//! The system under audit: one process per service and one for the gateway, two of those
//! that most depends on, each before its own way to Postgres. A keeper starts what
//! has ended again, on the same ports, as Kubernetes would.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use app::{provision, rest::Rest};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::Config;

use crate::{
    history::History,
    parts::{Ground, Process, free_address, serving},
    postgres::Postgres,
    proxy::Proxy,
};

/// What runs, and in how many processes. With two, one takes over the other's consumers.
const PARTS: &[(&str, usize)] = &[
    ("coupon", 1),
    ("delivery", 1),
    ("gateway", 1),
    ("member", 1),
    ("mileage", 1),
    ("mypage", 1),
    ("notification", 1),
    ("order", 2),
    ("payment", 2),
    ("product", 1),
];
const PROGRAM: &str = "hansang";
const GATEWAY: &str = "gateway";
/// Processes share the server's connections.
const POOL_SIZE: &str = "8";
/// Points expire within a run whose clocks are moved, and are spent before.
const POINTS_EXPIRE: &str = "1728000";
/// A process that ends by itself starts again after this, and later each time it does so at once.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// A process that has lived this long did not end at once.
const LIVED: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// How long a process that starts may take to say that it is not ready yet.
const ASKED: Duration = Duration::from_millis(500);
/// Processes that may be away when the next one is killed, and how long others are waited for.
const AWAY: usize = 1;
const MOSTLY_READY: Duration = Duration::from_secs(20);
/// After the faults everything is ready within this.
const READY: Duration = Duration::from_mins(2);

/// All of it.
pub(crate) struct System {
    slots: Vec<Slot>,
    proxies: Vec<(&'static str, Proxy)>,
    pub(crate) postgres: AsyncMutex<Postgres>,
    /// How Postgres's superuser connects, past the proxies.
    pub(crate) admin: Config,
    pub(crate) ground: Ground,
    pub(crate) counts: Counts,
    dir: TempDir,
    _ports: Vec<File>,
}

/// What became of processes.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) kills: AtomicU64,
    pub(crate) starts: AtomicU64,
    /// Processes that ended by themselves.
    pub(crate) ended: AtomicU64,
}

/// Where one process listens, and the process.
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    /// `order-2`.
    pub(crate) label: String,
    pub(crate) grpc: SocketAddr,
    http: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<(Process, Instant)>,
    /// When the next one starts, where none runs.
    due: Option<Instant>,
    paused: bool,
    pause: Duration,
    /// Whether the process has said that it is ready.
    ready: bool,
}

impl Slot {
    /// Whether it has no database, and no consumers.
    pub(crate) fn is_gateway(&self) -> bool {
        self.name == GATEWAY
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl System {
    /// Everything up and ready; the logs are below `logs`.
    pub(crate) async fn open(logs: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("hansang-chaos-").tempdir().expect("a folder");
        // Postgres's own user has to pass through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let program = dir.path().join(PROGRAM);
        fs::copy(env!("CARGO_BIN_EXE_hansang"), program).expect("a copy of the program");
        let mut ports = Vec::new();
        let mut port = || {
            let (address, lock) = free_address();
            ports.push(lock);
            address
        };
        let server = port();
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{logs}-postgres.log"));
        let postgres = Postgres::open(dir.path(), log, server).await;
        let admin = postgres.admin();
        let ground = Ground::lay(&admin, provision::PREFIX, dir.path(), logs).await;
        let mut proxies = Vec::new();
        for (name, _) in PARTS.iter().filter(|(name, _)| *name != GATEWAY) {
            proxies.push((*name, Proxy::open(port(), server).await));
        }
        let slot = |name: &'static str, number: usize, port: &mut dyn FnMut() -> SocketAddr| Slot {
            name,
            label: format!("{name}-{number}"),
            grpc: port(),
            http: port(),
            state: Mutex::default(),
        };
        let slots: Vec<Slot> = PARTS
            .iter()
            .flat_map(|(name, many)| (1..=*many).map(move |number| (*name, number)))
            .map(|(name, number)| slot(name, number, &mut port))
            .collect();
        let postgres = AsyncMutex::new(postgres);
        let counts = Counts::default();
        let system = Self { slots, proxies, postgres, admin, ground, counts, dir, _ports: ports };
        for slot in &system.slots {
            system.start(slot);
        }
        system.ready().await;
        system.ground.seed().await;
        system
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The ways to Postgres, by service.
    pub(crate) fn proxies(&self) -> &[(&'static str, Proxy)] {
        &self.proxies
    }

    /// A client of the gateway, not signed in.
    pub(crate) fn rest(&self) -> Rest {
        let gateway = self.slots.iter().find(|slot| slot.name == GATEWAY).expect("a gateway");
        Rest::new(format!("http://{}", gateway.http))
    }

    /// A service's database.
    pub(crate) fn database(service: &str) -> String {
        format!("{}{service}", provision::PREFIX)
    }

    /// Where processes leave their logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.ground.logs.clone()
    }

    /// Asks the processes that start whether they are ready, for ever.
    pub(crate) async fn ask(&self) {
        loop {
            for slot in &self.slots {
                let started = slot.state().process.as_ref().map(|(_, since)| *since);
                if slot.state().ready || started.is_none() {
                    continue;
                }
                let ready = tokio::time::timeout(ASKED, serving(slot.grpc)).await;
                let mut state = slot.state();
                let same = state.process.as_ref().map(|(_, since)| *since) == started;
                state.ready = same && ready.unwrap_or_default();
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until most processes are ready, but not for ever: where nothing runs, nothing can go
    /// wrong.
    pub(crate) async fn mostly_ready(&self) {
        let away = || {
            let of = self.slots.iter().map(Slot::state);
            of.filter(|state| state.process.is_none() || !state.ready).count()
        };
        let began = Instant::now();
        while away() > AWAY && began.elapsed() < MOSTLY_READY {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Keeps processes running: whatever has ended starts again when its time has come.
    pub(crate) async fn keep(&self, history: &History) {
        loop {
            for slot in &self.slots {
                self.look_after(slot, history);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn look_after(&self, slot: &Slot, history: &History) {
        let mut state = slot.state();
        if let Some((process, since)) = &mut state.process {
            let Some(status) = process.ended() else { return };
            let at_once = since.elapsed() < LIVED;
            state.process = None;
            state.pause = if at_once { (state.pause * 2).clamp(AGAIN.0, AGAIN.1) } else { AGAIN.0 };
            state.due = Some(Instant::now() + state.pause);
            self.counts.ended.fetch_add(1, Ordering::Relaxed);
            history.fault(format!("{} ended by itself: {status}", slot.label));
        }
        let due = state.due.is_none_or(|due| Instant::now() >= due);
        drop(state);
        if due {
            self.start(slot);
        }
    }

    fn start(&self, slot: &Slot) {
        let endpoints = |name: &str| {
            let of = self.slots.iter().filter(|slot| slot.name == name);
            of.map(|slot| slot.grpc).collect::<Vec<_>>()
        };
        let peers = PARTS.iter().map(|(name, _)| (*name, endpoints(name)));
        let mut command = self.ground.serve(slot.name, (slot.grpc, slot.http), peers);
        if let Some((_, proxy)) = self.proxies.iter().find(|(name, _)| *name == slot.name) {
            let direct = format!("127.0.0.1:{}", self.admin.get_ports()[0]);
            let url = self.ground.database_url.replace(&direct, &proxy.address.to_string());
            command.env("HANSANG__DATABASE__URL", url);
        }
        command.env("HANSANG__DATABASE__POOL_SIZE", POOL_SIZE);
        command.env("HANSANG__TESTING__CLOCK", "true");
        if slot.name == "mileage" {
            command.env("HANSANG__SERVICE__MILEAGE__EXPIRE_AFTER_S", POINTS_EXPIRE);
        }
        let mut state = slot.state();
        let command = self.of_the_copy(&command);
        state.process = Some((self.ground.start(&slot.label, command), Instant::now()));
        (state.due, state.paused, state.ready) = (None, false, false);
        self.counts.starts.fetch_add(1, Ordering::Relaxed);
    }

    /// The same command of the program as it was when the run began: a build meanwhile must not
    /// change what is audited.
    fn of_the_copy(&self, command: &Command) -> Command {
        let mut copy = Command::new(self.dir.path().join(PROGRAM));
        copy.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => copy.env(name, value),
                None => copy.env_remove(name),
            };
        }
        copy
    }

    /// Ends a process as a power cut would; the keeper starts the next one after this time.
    pub(crate) fn kill(&self, slot: &Slot, again: Duration) {
        let mut state = slot.state();
        if state.process.take().is_some() {
            self.counts.kills.fetch_add(1, Ordering::Relaxed);
        }
        state.due = Some(Instant::now() + again);
    }

    /// Stops a process where it stands, connections open; false when it is not running.
    #[expect(clippy::unused_self, reason = "as its neighbours are called")]
    pub(crate) fn pause(&self, slot: &Slot) -> bool {
        let mut state = slot.state();
        let Some((process, _)) = state.process.as_ref().filter(|_| !state.paused) else {
            return false;
        };
        process.signal(Signal::SIGSTOP);
        state.paused = true;
        true
    }

    /// Lets a process go on that was stopped.
    #[expect(clippy::unused_self, reason = "as its neighbours are called")]
    pub(crate) fn resume(&self, slot: &Slot) {
        let mut state = slot.state();
        if state.paused
            && let Some((process, _)) = &state.process
        {
            process.signal(Signal::SIGCONT);
        }
        state.paused = false;
    }

    /// Waits until every process says that it is ready.
    pub(crate) async fn ready(&self) {
        let began = Instant::now();
        for slot in &self.slots {
            while !serving(slot.grpc).await {
                let log = self.logs().join(format!("{}.log", slot.label));
                assert!(
                    began.elapsed() < READY * testkit::patience(),
                    "{} is not ready: {}",
                    slot.label,
                    log.display()
                );
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// What `hansang verify` prints, and whether it found nothing.
    pub(crate) async fn verify(&self) -> (bool, String) {
        let mut command = tokio::process::Command::new(self.dir.path().join(PROGRAM));
        let patience = (60 * testkit::patience()).to_string();
        command.args(["verify", "--patience", &patience, "--data-dir"]).arg(self.dir.path());
        command.env("HANSANG__DATABASE__URL", &self.ground.database_url).kill_on_drop(true);
        let output = command.output().await.expect("hansang runs");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }

    /// Ends every process in good order.
    pub(crate) async fn close(&self) {
        for slot in &self.slots {
            let ending = slot.state().process.take();
            if let Some((mut process, _)) = ending {
                process.signal(Signal::SIGTERM);
                process.stopped().await;
            }
        }
    }
}
