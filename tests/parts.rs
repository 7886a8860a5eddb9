//! The processes of a deployment, for stories and for benches: what they stand on, how one is started,
//! how it says that it is ready, and how it ends. Who listens where is the deployment's own affair.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use app::{
    keys::Keys,
    logins::{self, Login},
    provision::{self, Entry},
    run::SERVICES,
};
use nix::sys::signal::Signal;
use settings::{Secret, Settings};
use testkit::Program;
pub(crate) use testkit::free_address;
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
    pub(crate) program: Program,
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
        let mut command = testkit::program(env!("CARGO_BIN_EXE_hansang"));
        command
            .args(["serve", "--lifeline", "--run", name])
            .args(["--grpc", &grpc.to_string(), "--http", &http.to_string()])
            .env("HANSANG__DATABASE__URL", &self.database_url)
            .env("HANSANG__AUTH__JWKS_FILE", &self.keys.jwks)
            .env("HANSANG__AUTH__SERVICES_JWKS_FILE", &self.keys.services_jwks);
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
        Process { name: name.to_owned(), program: Program::start(&mut command), log }
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
        self.program.ended()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.program.signal(signal);
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
