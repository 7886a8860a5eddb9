//! The processes of a deployment, for stories and for benches: what they stand on, how one is started,
//! how it says that it is ready, and how it ends. Who listens where is the deployment's own affair.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use app::{
    keys::Keys,
    logins::{self, Login},
    provision::{self, Entry},
    run::SERVICES,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use settings::{Secret, Settings};
use tokio_postgres::Config;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// A process starts, migrates and serves within this.
pub(crate) const STARTED: Duration = Duration::from_secs(30);
/// A process that is told to stop does so within this.
const STOPPED: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// What all processes of a deployment stand on.
pub(crate) struct Ground {
    /// With `{service}` in it.
    pub(crate) database_url: String,
    pub(crate) keys: Keys,
    pub(crate) logins: Vec<Login>,
    /// The folder of their logs.
    pub(crate) logs: PathBuf,
}

/// One process. Dropped, it ends as by a power cut.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Ground {
    /// Databases and roles of its own on a server, as `up` makes them; keys and logins in `dir`.
    pub(crate) async fn lay(admin: &Config, prefix: &str, dir: &Path, logs: &str) -> Self {
        let names = SERVICES.iter().map(|service| service.name);
        let admin = embedded_postgres::admin(admin.clone()).expect("a server on a socket");
        let database_url =
            provision::provision(&admin, prefix, names, &Entry::Socket).await.expect("databases");
        let logs = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(logs);
        let _ = fs::remove_dir_all(&logs);
        fs::create_dir_all(&logs).expect("a folder for logs");
        Self {
            database_url,
            keys: Keys::ensure(dir).expect("keys"),
            logins: logins::ensure(dir).expect("logins"),
            logs,
        }
    }

    /// Registers an admin and a seller, once member has its tables.
    pub(crate) async fn seed(&self) {
        let mut settings = Settings::default();
        settings.database.url = Secret::new(&self.database_url);
        // A busy machine is no reason to fail.
        settings.database.acquire_timeout_ms = 30_000;
        logins::seed(&settings, &self.logins).await.expect("an admin and a seller");
    }

    /// How a part is started that listens there, for gRPC and for REST, and calls the others there.
    pub(crate) fn serve<'a>(
        &self,
        name: &str,
        (grpc, http): (SocketAddr, SocketAddr),
        peers: impl IntoIterator<Item = (&'a str, Vec<SocketAddr>)>,
    ) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hansang"));
        for (variable, _) in std::env::vars() {
            if variable.starts_with("HANSANG__") {
                command.env_remove(variable);
            }
        }
        command
            .args(["serve", "--lifeline", "--run", name])
            .args(["--grpc", &grpc.to_string(), "--http", &http.to_string()])
            .env("HANSANG__DATABASE__URL", &self.database_url)
            .env("HANSANG__AUTH__JWKS_FILE", &self.keys.jwks)
            .env("HANSANG__AUTH__SERVICES_JWKS_FILE", &self.keys.services_jwks)
            .env("NO_COLOR", "1");
        self.let_sign(&mut command, name);
        if name == "member" {
            command.env("HANSANG__AUTH__SIGNING_KEY_FILE", &self.keys.signing_key);
        }
        for (peer, endpoints) in peers {
            let variable = format!("HANSANG__PEERS__OVERRIDES__{}", peer.to_uppercase());
            let urls: Vec<_> = endpoints.iter().map(|grpc| format!("http://{grpc}")).collect();
            command.env(variable, urls.join(","));
        }
        command
    }

    /// How everything is started as one process that listens there.
    pub(crate) fn serve_all(&self, (grpc, http): (SocketAddr, SocketAddr)) -> Command {
        let mut command = self.serve("member", (grpc, http), []);
        let others = SERVICES.iter().map(|service| service.name).filter(|name| *name != "member");
        for name in others.chain(["gateway"]) {
            command.args(["--run", name]);
            self.let_sign(&mut command, name);
        }
        command.env("HANSANG__PEERS__TEMPLATE", format!("http://{grpc}"));
        command
    }

    /// Gives a process the key of one service, if it is one.
    fn let_sign(&self, command: &mut Command, service: &str) {
        if let Some(key) = self.keys.service_keys.get(service) {
            let variable = format!("HANSANG__AUTH__SERVICE_KEYS__{}_FILE", service.to_uppercase());
            command.env(variable, key);
        }
    }

    /// Starts what [`serve`](Self::serve) answered; its log goes on where the one before ended.
    pub(crate) fn start(&self, name: &str, mut command: Command) -> Process {
        let log = self.logs.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log file");
        // It ends when the other end of its input does, that is with us, whichever way.
        command.stdin(Stdio::piped());
        command.stdout(file.try_clone().expect("a log file")).stderr(file);
        Process { name: name.to_owned(), child: command.spawn().expect("hansang starts"), log }
    }
}

impl Process {
    /// Waits until it is ready, as its gRPC listener says.
    pub(crate) async fn ready(&mut self, grpc: SocketAddr) {
        let began = Instant::now();
        while !serving(grpc).await {
            let ended = self.ended();
            let (name, log) = (&self.name, self.log.display());
            if let Some(status) = ended {
                panic!("{name} ended ({status}): see {log}");
            }
            assert!(began.elapsed() < STARTED, "{name} is not ready: see {log}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// How it ended by itself; nothing while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("a signal is sent");
    }

    /// Waits until it has ended, which it was told to, in good order.
    pub(crate) async fn stopped(&mut self) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                assert!(status.success(), "{} ended: {status}", self.name);
                return;
            }
            assert!(began.elapsed() < STOPPED, "{} does not stop", self.name);
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether somebody there says that they are ready.
pub(crate) async fn serving(address: SocketAddr) -> bool {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let Ok(channel) = endpoint.expect("an address").connect().await else { return false };
    let request = HealthCheckRequest { service: "readiness".to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(answer) => answer.into_inner().status() == ServingStatus::Serving,
        Err(_) => false,
    }
}

/// A port that stays free while its process is dead: outside the range that the system gives to
/// outgoing connections, any of which could take it meanwhile; and the lock that keeps it from
/// other houses.
pub(crate) fn free_address() -> (SocketAddr, File) {
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
