//! A whole deployment for one test, on databases of its own: in one process, or, where the test
//! stops some of it, with one process per service and the gateway. Everything ends with the test;
//! the logs stay when it failed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::ExitStatus,
    time::{Duration, Instant, SystemTime},
};

use app::{
    provision::{Entry, provision},
    rest::Rest,
    run::SERVICES,
};
use identity::auth::{Identity, Issuer, Role};
use nix::sys::signal::Signal;
use pg::migrate::migrate;
use server::clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient};
use settings::{DatabaseSettings, Secret};
use tempfile::TempDir;
use tokio_postgres::{Config, NoTls};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::parts::{Ground, Process, free_address, serving};

/// "Eventually" in the stories' own words.
const EVENTUALLY: Duration = Duration::from_secs(5);
/// After a story everything comes to rest within this.
const SETTLED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// The part that a deployment in one process has.
const ALL: &str = "all";

/// A running deployment.
pub(crate) struct Deployment {
    /// By service, and `gateway`; or `all` alone.
    parts: BTreeMap<&'static str, Part>,
    pub(crate) ground: Ground,
    /// Variables that each process is told, whenever it is started.
    told: Vec<(String, String)>,
    _dir: TempDir,
}

/// One process.
struct Part {
    grpc: SocketAddr,
    http: SocketAddr,
    process: Option<Process>,
    /// Where the next process of a part that is replaced listens.
    next: Option<(SocketAddr, SocketAddr)>,
    /// Until the part is gone, no other deployment gets its ports.
    ports: Vec<File>,
}

impl Deployment {
    /// Everything up and ready in one process; `story` names the folder of its logs.
    pub(crate) async fn open(story: &str) -> Self {
        Self::open_with(story, &[]).await
    }

    /// The same, with these variables told to the process.
    pub(crate) async fn open_with(story: &str, told: &[(&str, String)]) -> Self {
        Self::start_all(story, &[ALL], told).await
    }

    /// The same with one process per service, so that each can be stopped.
    pub(crate) async fn split(story: &str) -> Self {
        Self::split_with(story, &[]).await
    }

    /// The same, with these variables told to each process, whenever it is started.
    pub(crate) async fn split_with(story: &str, told: &[(&str, String)]) -> Self {
        let names = SERVICES.iter().map(|service| service.name).chain(["gateway"]);
        Self::start_all(story, &names.collect::<Vec<_>>(), told).await
    }

    async fn start_all(story: &str, names: &[&'static str], told: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir_in(testkit::scratch()).expect("a directory");
        let ground = lay_ground(dir.path(), story).await;
        let parts = names.iter().map(|name| (*name, Part::new())).collect();
        let told = told.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let mut deployment = Self { parts, ground, told, _dir: dir };
        for name in names {
            deployment.spawn(name, &[]);
        }
        for name in names {
            deployment.ready(name).await;
        }
        deployment.ground.seed().await;
        deployment
    }

    /// The process that a service, or the gateway, runs in.
    fn part(&self, name: &str) -> &Part {
        let part = self.parts.get(name).or_else(|| self.parts.get(ALL));
        part.expect("there is such a part")
    }

    /// What a process has logged so far.
    pub(crate) fn log(&self, part: &str) -> String {
        fs::read_to_string(self.ground.logs.join(format!("{part}.log"))).expect("a log")
    }

    /// A client of the gateway, not signed in.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(self.address())
    }

    /// Where the gateway's REST is.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.part("gateway").http)
    }

    /// Ends a process as a power cut would.
    pub(crate) fn kill(&mut self, part: &str) {
        self.parts.get_mut(part).expect("a part that is split off").process = None;
    }

    /// How a process ended by itself; nothing while it runs.
    pub(crate) fn ended(&mut self, part: &str) -> Option<ExitStatus> {
        self.process(part).ended()
    }

    /// Starts a killed process again, and waits until it is ready.
    pub(crate) async fn start(&mut self, part: &str) {
        self.start_with(part, &[]).await;
    }

    /// Starts a killed process again, and tells it these variables as well.
    pub(crate) async fn start_with(&mut self, part: &str, told: &[(&str, String)]) {
        self.spawn(part, told);
        self.ready(part).await;
    }

    /// Starts a killed process again, with a clock that can be moved.
    pub(crate) async fn start_with_clock(&mut self, part: &str) {
        self.start_with(part, &[("HANSANG__TESTING__CLOCK", "true".to_owned())]).await;
    }

    /// Tells a process to stop, as an operator does; it finishes what it has under way.
    pub(crate) fn tell_to_stop(&self, part: &str) {
        self.signal(part, Signal::SIGTERM);
    }

    /// Waits until a process that was told to stop has ended, in good order.
    pub(crate) async fn stopped(&mut self, part: &str) {
        self.process(part).stopped().await;
        self.kill(part);
    }

    /// Gives each part a second place to listen, and has all callers know both.
    pub(crate) async fn make_room(&mut self) {
        for part in self.parts.values_mut() {
            let ((grpc, one), (http, other)) = (free_address(), free_address());
            part.next = Some((grpc, http));
            part.ports.extend([one, other]);
        }
        let parts: Vec<_> = self.parts.keys().copied().collect();
        for part in parts {
            self.kill(part);
            self.start(part).await;
        }
    }

    /// Replaces a process as a rolling restart does: the next one is ready before this one is told
    /// to stop. `switch` hears where the next one's REST is, between the two.
    pub(crate) async fn replace(&mut self, name: &str, switch: impl FnOnce(String)) {
        let part = self.parts.get_mut(name).expect("there is such a part");
        let mut old = part.process.take().expect("it was started");
        let before = (part.grpc, part.http);
        (part.grpc, part.http) = part.next.replace(before).expect("there is room");
        self.start(name).await;
        switch(format!("http://{}", self.parts[name].http));
        old.signal(Signal::SIGTERM);
        old.stopped().await;
    }

    /// Whether a process says that it is ready.
    pub(crate) async fn is_ready(&self, part: &str) -> bool {
        serving(self.part(part).grpc).await
    }

    /// Stops a process where it stands: connections stay open, nothing is answered any more.
    pub(crate) fn pause(&self, part: &str) {
        self.signal(part, Signal::SIGSTOP);
    }

    /// Lets a paused process go on.
    pub(crate) fn resume(&self, part: &str) {
        self.signal(part, Signal::SIGCONT);
    }

    fn signal(&self, part: &str, signal: Signal) {
        self.parts[part].process.as_ref().expect("it was started").signal(signal);
    }

    fn process(&mut self, part: &str) -> &mut Process {
        let part = self.parts.get_mut(part).expect("there is such a part");
        part.process.as_mut().expect("it was started")
    }

    /// A connection to a service.
    pub(crate) async fn channel(&self, service: &str) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.part(service).grpc));
        endpoint.expect("an address").connect().await.expect("a connection")
    }

    /// An operator's token, as the value of an `authorization` header.
    pub(crate) fn operator(&self) -> MetadataValue<Ascii> {
        let auth = self.ground.keys.settings().expect("keys");
        let operator = Identity::operator("story", &auth).expect("an identity");
        operator.bearer(SystemTime::now()).expect("a token")
    }

    /// So much time passes for a part that was started with a clock.
    pub(crate) async fn time_passes(&self, part: &str, time: Duration) {
        let auth = self.ground.keys.settings().expect("keys");
        let issuer = Issuer::new(&auth).expect("an issuer");
        let admin = issuer.issue(uuid::Uuid::now_v7(), vec![Role::Admin], SystemTime::now());
        let (token, _) = admin.expect("a token");
        let time = time.try_into().expect("a duration");
        let mut request = Request::new(AdvanceRequest { duration: Some(time) });
        let bearer = format!("Bearer {token}").parse().expect("ascii");
        request.metadata_mut().insert("authorization", bearer);
        let mut clock = ClockServiceClient::new(self.channel(part).await);
        clock.advance(request).await.expect("the clock moves");
    }

    /// What a service's log tells of an order, or of everything: the kinds of the events.
    pub(crate) async fn events(&self, service: &str, order: Option<&str>) -> Vec<String> {
        let sql = "select type from event \
                   where $1::text is null or correlation_id::text = $1 order by id";
        let events = self.database(service).await.query(sql, &[&order]).await.expect("events");
        events.iter().map(|event| event.get(0)).collect()
    }

    /// A connection to a service's database.
    pub(crate) async fn database(&self, service: &str) -> tokio_postgres::Client {
        let url = self.ground.database_url.replace("{service}", service);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("Postgres");
        tokio::spawn(connection);
        client
    }

    /// The name of a service's database.
    pub(crate) fn database_name(&self, service: &str) -> String {
        let url = self.ground.database_url.replace("{service}", service);
        let config: Config = url.parse().expect("a URL");
        config.get_dbname().expect("a database").to_owned()
    }

    /// The role of a service.
    pub(crate) fn role(&self, service: &str) -> String {
        let url = self.ground.database_url.replace("{service}", service);
        let config: Config = url.parse().expect("a URL");
        config.get_user().expect("a role").to_owned()
    }

    /// A superuser's connection to the server.
    pub(crate) async fn server(&self) -> tokio_postgres::Client {
        let server = testkit::databases(&[]).await.url.expose().replace("{service}", "");
        let (client, connection) = admin(&server).connect(NoTls).await.expect("Postgres");
        tokio::spawn(connection);
        client
    }

    /// Where a service listens.
    pub(crate) fn grpc(&self, service: &str) -> String {
        self.part(service).grpc.to_string()
    }

    /// Waits until a consumer has stored that it has applied all events of its source.
    pub(crate) async fn has_seen_all_of(&self, consumer: &str, source: &str) {
        let sql = "select max(position) from event_position";
        let source_database = self.database(source).await;
        let head: i64 = source_database.query_one(sql, &[]).await.expect("a head").get(0);
        let seen = self.database(consumer).await;
        eventually(&format!("{consumer} at {head} of {source}"), async || {
            let sql = "select max(position) from checkpoint where source = $1";
            let at: i64 = seen.query_one(sql, &[&source]).await.expect("a checkpoint").get(0);
            if at >= head { Ok(()) } else { Err(at.to_string()) }
        })
        .await;
    }

    /// The end of every story: what must always hold does, once nothing moves any more. All parts run.
    pub(crate) async fn all_holds(&self) {
        let findings = app::verify::verify(&self.ground.database_url, SETTLED).await;
        let broken: Vec<_> = findings
            .expect("the databases can be read")
            .iter()
            .filter(|finding| !finding.holds())
            .map(ToString::to_string)
            .collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    fn spawn(&mut self, name: &str, told: &[(&str, String)]) {
        let part = &self.parts[name];
        let address = (part.grpc, part.http);
        let mut command = if name == ALL {
            self.ground.serve_all(address)
        } else {
            let peers = self.parts.iter().map(|(peer, other)| {
                let next = other.next.map(|(grpc, _)| grpc);
                (*peer, [other.grpc].into_iter().chain(next).collect())
            });
            self.ground.serve(name, address, peers)
        };
        if part.next.is_some() {
            // As where processes are replaced: long enough for clients to let go of connections.
            command.env("HANSANG__DEADLINE__DRAIN_MS", "400");
        }
        command.envs(self.told.iter().map(|(variable, value)| (variable, value)));
        command.envs(told.iter().map(|(variable, value)| (variable, value)));
        let process = self.ground.start(name, command);
        self.parts.get_mut(name).expect("there is such a part").process = Some(process);
    }

    async fn ready(&mut self, name: &str) {
        let grpc = self.parts[name].grpc;
        self.process(name).ready(grpc).await;
    }
}

/// Databases and roles of a deployment's own, as `up` makes them: stories share the server alone. The first
/// one of a process finds them on its server, with all tables, as they were once made.
async fn lay_ground(dir: &Path, story: &str) -> Ground {
    const PREFIX: &str = "story_";
    let tables: Vec<_> = SERVICES.iter().map(|it| (it.name, it.migrations)).collect();
    let version = (tables, include_str!("../app/src/provision.rs"));
    let prepared = testkit::prepared(version, async |url: &str| {
        let admin = embedded_postgres::admin(admin(url)).expect("a server on a socket");
        let names = SERVICES.iter().map(|service| service.name);
        let url = provision(&admin, PREFIX, names, &Entry::Socket).await.expect("databases");
        let settings = DatabaseSettings { url: Secret::new(url), ..DatabaseSettings::default() };
        for service in SERVICES {
            let migrated = migrate(&settings, service.name, service.migrations).await;
            migrated.expect("migrations apply");
        }
    });
    let own = format!("{PREFIX}{}_", uuid::Uuid::now_v7().simple());
    let prefix = if prepared { PREFIX } else { &own };
    let server = testkit::databases(&[]).await.url.expose().replace("{service}", "");
    Ground::lay(&admin(&server), prefix, dir, story).await
}

/// Whom a server's superuser is, in no service's database.
fn admin(url: &str) -> Config {
    let mut admin: Config = url.replace("{database}", "").parse().expect("a URL");
    admin.dbname("postgres");
    admin
}

impl Drop for Deployment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the processes' logs are in {}", self.ground.logs.display());
        }
    }
}

impl Part {
    fn new() -> Self {
        let ((grpc, one), (http, other)) = (free_address(), free_address());
        Self { grpc, http, process: None, next: None, ports: vec![one, other] }
    }
}

/// Asks until the answer is yes, for five seconds; `Err` says what is still amiss. A slow machine
/// gets more with `HANSANG_PATIENCE=3`, and is told when it needed it.
pub(crate) async fn eventually<T>(
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let patience = testkit::patience();
    let began = Instant::now();
    loop {
        match probe().await {
            Ok(answer) => {
                if began.elapsed() > EVENTUALLY {
                    eprintln!("slow: {what} took {:?}, not {EVENTUALLY:?}", began.elapsed());
                }
                return answer;
            }
            Err(amiss) => assert!(
                began.elapsed() < EVENTUALLY * patience,
                "not within {:?}: {what}; last seen: {amiss}",
                EVENTUALLY * patience
            ),
        }
        tokio::time::sleep(POLL).await;
    }
}
