//! A deployment with replicas: Postgres as `up` keeps it, and of each service and the
//! gateway so many processes, with a free place for the one that comes before another
//! goes. Callers know all places, as they would from a name that stands for them.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use app::{provision, run::SERVICES};
use embedded_postgres::Embedded;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio_postgres::NoTls;

use crate::parts::{Ground, Process, free_address};

/// Processes of each part.
pub(crate) const REPLICAS: usize = 2;
/// A process that is told to stop serves on for so long: longer than the front takes to notice.
const DRAIN_MS: &str = "1000";
/// 28 processes share the server's 300 connections.
const POOL_SIZE: &str = "8";
/// What was killed comes again after this, as a keeper has it.
const AGAIN: Duration = Duration::from_millis(100);

/// A running deployment. Dropped, its processes end before their Postgres does.
pub(crate) struct Deployment {
    parts: BTreeMap<&'static str, Part>,
    ground: Ground,
    postgres: Embedded,
    dir: TempDir,
}

/// Where a process listens, for gRPC and for REST.
type Place = (SocketAddr, SocketAddr);

/// The replicas of a service or of the gateway.
struct Part {
    /// The one that has run longest first.
    replicas: VecDeque<(Place, Process)>,
    /// Where the next one listens.
    free: Place,
    /// One more than there are replicas.
    places: Vec<Place>,
    _ports: Vec<File>,
}

impl Deployment {
    /// Everything up and ready.
    pub(crate) async fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("hansang-rolling-").tempdir().expect("a folder");
        // Postgres's own user has to pass through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let postgres = Embedded::start(dir.path()).await.expect("Postgres");
        let admin = postgres.admin_config();
        let ground = Ground::lay(&admin, provision::PREFIX, dir.path(), "rolling-bench").await;
        let names = SERVICES.iter().map(|service| service.name).chain(["gateway"]);
        let parts = names.map(|name| (name, Part::new())).collect();
        let mut deployment = Self { parts, ground, postgres, dir };
        for number in 0..REPLICAS {
            for name in deployment.parts() {
                let place = deployment.parts[name].places[number];
                let process = deployment.start(name, place);
                deployment.part(name).replicas.push_back((place, process));
            }
        }
        for part in deployment.parts.values_mut() {
            for (place, process) in &mut part.replicas {
                process.ready(place.0).await;
            }
        }
        deployment.ground.seed().await;
        deployment
    }

    /// The services and the gateway.
    pub(crate) fn parts(&self) -> Vec<&'static str> {
        self.parts.keys().copied().collect()
    }

    /// The data directory, as that of `up`.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where there may be a gateway's REST.
    pub(crate) fn gateways(&self) -> Vec<SocketAddr> {
        self.parts["gateway"].places.iter().map(|(_, http)| *http).collect()
    }

    /// Puts a new process in the place of the one that has run longest, as a Deployment does: it is
    /// ready before the other is told to stop.
    pub(crate) async fn replace(&mut self, name: &'static str) {
        let place = self.parts[name].free;
        let mut new = self.start(name, place);
        new.ready(place.0).await;
        let part = self.part(name);
        let (freed, mut old) = part.replicas.pop_front().expect("replicas");
        part.replicas.push_back((place, new));
        part.free = freed;
        old.signal(Signal::SIGTERM);
        old.stopped().await;
    }

    /// Kills the process that has run longest; it comes again in its place.
    pub(crate) async fn kill_one(&mut self, name: &'static str) {
        let (place, old) = self.part(name).replicas.pop_front().expect("replicas");
        drop(old);
        tokio::time::sleep(AGAIN).await;
        let mut new = self.start(name, place);
        new.ready(place.0).await;
        self.part(name).replicas.push_back((place, new));
    }

    /// How many orders there are.
    pub(crate) async fn orders(&self) -> u64 {
        let mut database = self.postgres.admin_config();
        database.dbname(format!("{}order", provision::PREFIX));
        let (client, connection) = database.connect(NoTls).await.expect("connects");
        tokio::spawn(connection);
        let count = client.query_one("select count(*) from orders", &[]).await;
        let count: i64 = count.expect("order's tables").get(0);
        u64::try_from(count).expect("a count")
    }

    /// `hansang verify`, which prints what it finds; whether it is content.
    pub(crate) async fn verify(&self) -> bool {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_hansang"));
        command.args(["verify", "--data-dir"]).arg(self.dir()).kill_on_drop(true);
        command.env_remove("HANSANG__DATABASE__URL");
        command.status().await.expect("hansang starts").success()
    }

    /// Ends everything in good order.
    pub(crate) async fn close(self) {
        drop(self.parts);
        self.postgres.stop().await;
    }

    fn start(&self, name: &'static str, place: Place) -> Process {
        let endpoints = |part: &Part| part.places.iter().map(|(grpc, _)| *grpc).collect();
        let peers = self.parts.iter().map(|(peer, part)| (*peer, endpoints(part)));
        let mut command = self.ground.serve(name, place, peers);
        command.env("HANSANG__DEADLINE__DRAIN_MS", DRAIN_MS);
        command.env("HANSANG__DATABASE__POOL_SIZE", POOL_SIZE);
        self.ground.start(name, command)
    }

    fn part(&mut self, name: &str) -> &mut Part {
        self.parts.get_mut(name).expect("there is such a part")
    }
}

impl Part {
    fn new() -> Self {
        let mut ports = Vec::new();
        let mut port = || {
            let (address, lock) = free_address();
            ports.push(lock);
            address
        };
        let places: Vec<Place> = (0..=REPLICAS).map(|_| (port(), port())).collect();
        Self { replicas: VecDeque::new(), free: places[REPLICAS], places, _ports: ports }
    }
}
