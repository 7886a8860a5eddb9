//! A whole house for one test: databases of its own, each service a process of its
//! own, and a gateway. Everything ends with the test; the logs stay when it failed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

use app::{
    keys::Keys,
    logins::{self, Login},
    provision::{self, Entry},
    rest::Rest,
    run::SERVICES,
};
use kit::{
    auth::{Identity, Issuer, Role},
    clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient},
    config::{AuthSettings, Secret, Settings},
};
use nix::{sys::signal::Signal, unistd::Pid};
use tempfile::TempDir;
use tokio_postgres::{Config, NoTls};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// "Eventually" in the stories' own words.
const EVENTUALLY: Duration = Duration::from_secs(5);
/// A process starts, migrates and serves within this.
pub(crate) const STARTED: Duration = Duration::from_secs(30);
/// A process that is told to stop does so within this.
const STOPPED: Duration = Duration::from_secs(15);
/// After a story everything comes to rest within this.
const SETTLED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A running house.
pub(crate) struct House {
    parts: BTreeMap<&'static str, Part>,
    pub(crate) logins: Vec<Login>,
    keys: Keys,
    pub(crate) database_url: String,
    logs: PathBuf,
    _dir: TempDir,
}

/// One process.
struct Part {
    grpc: SocketAddr,
    http: SocketAddr,
    process: Option<Child>,
    /// Where the next process of a part that is replaced listens.
    next: Option<(SocketAddr, SocketAddr)>,
    /// Until the part is gone, no other house gets its ports.
    ports: Vec<File>,
}

impl House {
    /// Everything up and ready; `story` names the folder of its logs.
    pub(crate) async fn open(story: &str) -> Self {
        Self::open_with(story, &[]).await
    }

    /// The same, with these variables told to each process.
    pub(crate) async fn open_with(story: &str, told: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut admin: Config = {
            let settings = kit::testing::databases(&[]).await;
            settings.url.expose().replace("{service}", "").parse().expect("a URL")
        };
        admin.dbname("postgres");
        // Databases and roles of its own, as `up` makes them: stories share the server alone.
        let prefix = format!("story_{}_", uuid::Uuid::now_v7().simple());
        let names = SERVICES.iter().map(|service| service.name);
        let database_url = provision::provision(&admin, &prefix, names.clone(), &Entry::Socket)
            .await
            .expect("databases");
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(story);
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs).expect("a folder for logs");
        let parts = names.chain(["gateway"]).map(|name| (name, Part::new())).collect();
        let mut house = Self {
            parts,
            logins: logins::ensure(dir.path()).expect("logins"),
            keys: Keys::ensure(dir.path()).expect("keys"),
            database_url,
            logs,
            _dir: dir,
        };
        let all: Vec<_> = house.parts.keys().copied().collect();
        for part in &all {
            house.spawn(part, told);
        }
        for part in &all {
            house.ready(part).await;
        }
        let mut settings = Settings::default();
        settings.database.url = Secret::new(&house.database_url);
        logins::seed(&settings, &house.logins).await.expect("an admin and a seller");
        house
    }

    /// What a process has logged so far.
    pub(crate) fn log(&self, part: &str) -> String {
        fs::read_to_string(self.logs.join(format!("{part}.log"))).expect("a log")
    }

    /// A client of the gateway, not signed in.
    pub(crate) fn rest(&self) -> Rest {
        Rest::new(self.address())
    }

    /// Where the gateway's REST is.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.parts["gateway"].http)
    }

    /// Ends a process as a power cut would.
    pub(crate) fn kill(&mut self, part: &str) {
        let part = self.parts.get_mut(part).expect("there is such a part");
        part.end();
    }

    /// How a process ended by itself; nothing while it runs.
    pub(crate) fn ended(&mut self, part: &str) -> Option<ExitStatus> {
        let part = self.parts.get_mut(part).expect("there is such a part");
        let process = part.process.as_mut().expect("it was started");
        process.try_wait().expect("a child")
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
        let began = Instant::now();
        let process = &mut self.parts.get_mut(part).expect("there is such a part").process;
        loop {
            let running = process.as_mut().expect("it was started");
            if let Some(status) = running.try_wait().expect("a child") {
                assert!(status.success(), "{part} ended: {status}");
                break;
            }
            assert!(began.elapsed() < STOPPED, "{part} does not stop");
            tokio::time::sleep(POLL).await;
        }
        *process = None;
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
        let (old, before) = (part.process.take(), (part.grpc, part.http));
        (part.grpc, part.http) = part.next.replace(before).expect("there is room");
        self.start(name).await;
        switch(format!("http://{}", self.parts[name].http));
        let new = std::mem::replace(&mut self.parts.get_mut(name).expect("as before").process, old);
        self.tell_to_stop(name);
        self.stopped(name).await;
        self.parts.get_mut(name).expect("as before").process = new;
    }

    /// Whether a process says that it is ready.
    pub(crate) async fn is_ready(&self, part: &str) -> bool {
        serving(self.parts[part].grpc).await
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
        let process = self.parts[part].process.as_ref().expect("it was started");
        let pid = i32::try_from(process.id()).expect("a process id");
        nix::sys::signal::kill(Pid::from_raw(pid), signal).expect("a signal is sent");
    }

    /// A connection to a service.
    pub(crate) async fn channel(&self, service: &str) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.parts[service].grpc));
        endpoint.expect("an address").connect().await.expect("a connection")
    }

    /// An operator's token, as the value of an `authorization` header.
    pub(crate) fn operator(&self) -> MetadataValue<Ascii> {
        let key = fs::read_to_string(&self.keys.service_key).expect("a key");
        let auth = AuthSettings { service_key: Secret::new(key), ..AuthSettings::default() };
        let operator = Identity::operator("story", &auth).expect("an identity");
        operator.bearer(SystemTime::now()).expect("a token")
    }

    /// So much time passes for a part that was started with a clock.
    pub(crate) async fn time_passes(&self, part: &str, time: Duration) {
        let key = fs::read_to_string(&self.keys.signing_key).expect("a key");
        let auth = AuthSettings { signing_key: Secret::new(key), ..AuthSettings::default() };
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
        let url = self.database_url.replace("{service}", service);
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("Postgres");
        tokio::spawn(connection);
        client
    }

    /// The end of every story: what must always hold does, once nothing moves any more. All parts run.
    pub(crate) async fn all_holds(&self) {
        let findings = app::verify::verify(&self.database_url, SETTLED).await;
        let broken: Vec<_> = findings
            .expect("the databases can be read")
            .iter()
            .filter(|finding| !finding.holds())
            .map(ToString::to_string)
            .collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }

    fn spawn(&mut self, name: &str, told: &[(&str, String)]) {
        let log =
            File::options().create(true).append(true).open(self.logs.join(format!("{name}.log")));
        let log = log.expect("a log file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_hansang"));
        for (variable, _) in std::env::vars() {
            if variable.starts_with("HANSANG__") {
                command.env_remove(variable);
            }
        }
        let part = &self.parts[name];
        command
            .args(["serve", "--run", name])
            .args(["--grpc", &part.grpc.to_string(), "--http", &part.http.to_string()])
            .env("HANSANG__DATABASE__URL", &self.database_url)
            .env("HANSANG__AUTH__JWKS_FILE", &self.keys.jwks)
            .env("HANSANG__AUTH__SERVICE_KEY_FILE", &self.keys.service_key)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log file"))
            .stderr(log);
        if name == "member" {
            command.env("HANSANG__AUTH__SIGNING_KEY_FILE", &self.keys.signing_key);
        }
        for (peer, other) in &self.parts {
            let variable = format!("HANSANG__PEERS__OVERRIDES__{}", peer.to_uppercase());
            let next = other.next.map(|(grpc, _)| format!(",http://{grpc}")).unwrap_or_default();
            command.env(variable, format!("http://{}{next}", other.grpc));
        }
        if part.next.is_some() {
            // As where processes are replaced: long enough for clients to let go of connections.
            command.env("HANSANG__DEADLINE__DRAIN_MS", "400");
        }
        command.envs(told.iter().map(|(variable, value)| (variable, value)));
        let process = command.spawn().expect("hansang starts");
        self.parts.get_mut(name).expect("there is such a part").process = Some(process);
    }

    async fn ready(&mut self, name: &str) {
        let began = Instant::now();
        loop {
            let part = self.parts.get_mut(name).expect("there is such a part");
            let process = part.process.as_mut().expect("it was started");
            if let Some(status) = process.try_wait().expect("a child") {
                panic!("{name} ended ({status}): see {}", self.logs.display());
            }
            if serving(part.grpc).await {
                return;
            }
            assert!(began.elapsed() < STARTED, "{name} is not ready: see {}", self.logs.display());
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        for part in self.parts.values_mut() {
            part.end();
        }
        if std::thread::panicking() {
            eprintln!("the processes' logs are in {}", self.logs.display());
        }
    }
}

impl Part {
    fn new() -> Self {
        let ((grpc, one), (http, other)) = (free_address(), free_address());
        Self { grpc, http, process: None, next: None, ports: vec![one, other] }
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("SIGKILL");
            process.wait().expect("a child");
        }
    }
}

/// A port that stays free while its process is dead: outside the range that the system gives to
/// outgoing connections, any of which could take it meanwhile; and the lock that keeps it from
/// other houses.
fn free_address() -> (SocketAddr, File) {
    let locks = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports");
    fs::create_dir_all(&locks).expect("a folder for locks");
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(16_000..32_000)));
        let lock = File::create(locks.join(address.port().to_string())).expect("a lock file");
        if lock.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            return (address, lock);
        }
    }
}

async fn serving(address: SocketAddr) -> bool {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let Ok(channel) = endpoint.expect("an address").connect().await else { return false };
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => answer.into_inner().status() == ServingStatus::Serving,
        Err(_) => false,
    }
}

/// Asks until the answer is yes, for five seconds; `Err` says what is still amiss. A slow machine
/// gets more with `HANSANG_PATIENCE=3`, and is told when it needed it.
pub(crate) async fn eventually<T>(what: &str, probe: impl AsyncFn() -> Result<T, String>) -> T {
    let patience = std::env::var("HANSANG_PATIENCE").ok().and_then(|p| p.parse().ok()).unwrap_or(1);
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
