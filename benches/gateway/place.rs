//! Where it is measured: a deployment with one process per service, 20 products, a seller's
//! token, and gateways of it; which core each may use.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use app::rest::Rest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The core of the deployment and of the load.
pub(crate) const LOAD: &str = "1";
/// The core of who is measured.
pub(crate) const SUBJECT: &str = "0";
const ALL: &str = "0,1";

/// A process that ends with this value; the first to be told so.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"));
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

/// Who is measured.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) http: SocketAddr,
    process: Arc<Process>,
}

impl Subject {
    /// Starts it on its core, and waits until it serves products.
    pub(crate) async fn start(command: Command, http: SocketAddr) -> Self {
        // From the start: as many workers as it has cores.
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", SUBJECT]).arg(command.get_program()).args(command.get_args());
        pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let process = pinned.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process(process.spawn().expect("it starts"));
        let subject = Self { http, process: Arc::new(process) };
        eventually("it serves products", async || {
            let answer = Rest::new(format!("http://{http}")).get("/v1/products").await.ok()?;
            answer.status.is_success().then_some(())
        })
        .await;
        subject
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// The CPU that it has used, in user and kernel.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("Linux");
        // After the name, which is in parentheses: utime and stime are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').expect("a name");
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        // USER_HZ is 100 on Linux.
        Duration::from_millis(ticks * 10)
    }
}

/// A deployment.
pub(crate) struct Place {
    pub(crate) dir: TempDir,
    pub(crate) token: String,
    admin: Rest,
    pub(crate) product: String,
    deployment: Process,
}

impl Place {
    /// Everything up, with 20 products on sale.
    pub(crate) async fn open() -> Self {
        let dir = tempfile::Builder::new().prefix("hansang-bench-").tempdir().expect("a folder");
        // Postgres's own user has to pass through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let (http, grpc) = (free_address(), free_address());
        let mut command = Command::new("taskset");
        command.args(["-c", LOAD, env!("CARGO_BIN_EXE_hansang"), "up", "--split", "--data-dir"]);
        command.arg(dir.path()).args(["--http", &http.to_string(), "--grpc", &grpc.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let deployment = Process(command.spawn().expect("taskset and hansang are there"));
        let anyone = Rest::new(format!("http://{http}"));
        let sign_in = async |role: &str| {
            eventually("a login signs in", async || {
                let logins = fs::read_to_string(dir.path().join("logins.json")).ok()?;
                let logins: Value = serde_json::from_str(&logins).ok()?;
                let login = logins.as_array()?.iter().find(|login| login["role"] == role)?;
                let body = json!({ "email": login["email"], "password": login["password"] });
                let answer = anyone.post("/v1/sessions", body).await.ok()?;
                Some(answer.text("accessToken")).filter(|token| !token.is_empty())
            })
            .await
        };
        let token = sign_in("SELLER").await;
        let admin = anyone.with_token(sign_in("ADMIN").await);
        let seller = anyone.with_token(&token);
        let mut product = String::new();
        for number in 0..20 {
            let price = json!({ "currencyCode": "KRW", "units": "1000" });
            let name = format!("Bibimbap {number}");
            let body = json!({ "displayName": name, "price": price, "stock": 1_000_000 });
            product = seller.post("/v1/products", body).await.expect("an answer").text("id");
            assert_ne!(product, "", "a product");
        }
        Self { dir, token, admin, product, deployment }
    }

    /// Where a service of the deployment answers.
    pub(crate) fn grpc(&self, service: &str) -> SocketAddr {
        let text = fs::read_to_string(self.dir.path().join("processes.json")).expect("processes");
        let list: Value = serde_json::from_str(&text).expect("JSON");
        let found = list.as_array().expect("a list").iter().find(|it| it["service"] == service);
        let address = found.and_then(|it| it["grpc"].as_str()).expect("it runs");
        address.parse().expect("an address")
    }

    pub(crate) fn jwks(&self) -> PathBuf {
        self.dir.path().join("keys/jwks.json")
    }

    /// Waits until no order is in one of these states.
    pub(crate) async fn settled(&self, states: &[&str]) {
        for state in states {
            let path = format!("/v1/orders?state={state}&pageSize=1");
            eventually("no order is under way", async || {
                let answer = self.admin.get(&path).await.ok()?;
                answer.body["orders"].as_array().is_none_or(Vec::is_empty).then_some(())
            })
            .await;
        }
    }

    /// Another gateway of the deployment; maybe one that believes in a second product service.
    pub(crate) async fn gateway(&self, half_dead: bool) -> Subject {
        let http = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hansang"));
        command.args(["serve", "--run", "gateway", "--http", &http.to_string()]);
        command.args(["--grpc", &free_address().to_string()]);
        command
            .env("HANSANG__DATABASE__URL", "postgres:///{service}")
            .env("HANSANG__AUTH__JWKS_FILE", self.jwks());
        for service in ["member", "order", "product"] {
            let mut address = format!("http://{}", self.grpc(service));
            if half_dead && service == "product" {
                address = format!("{address},http://{}", free_address());
            }
            let variable = format!("HANSANG__PEERS__OVERRIDES__{}", service.to_uppercase());
            command.env(variable, address);
        }
        Subject::start(command, http).await
    }

    /// Lets the deployment use all cores.
    pub(crate) fn spread(&self) {
        self.on(ALL);
    }

    /// Puts the deployment on one core.
    pub(crate) fn gather(&self) {
        self.on(LOAD);
    }

    fn on(&self, cores: &str) {
        for pid in family(self.deployment.0.id()) {
            pin(pid, cores);
        }
    }
}

/// A process, its children and theirs.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(parent) = family.get(at) {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten();
        let children = tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
            .flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|pid| pid.parse().ok());
        let children: Vec<u32> = children.collect();
        family.extend(children);
        at += 1;
    }
    family
}

/// Puts a process, all its threads, on these cores.
pub(crate) fn pin(pid: u32, cores: &str) {
    let done = Command::new("taskset")
        .args(["-a", "-c", "-p", cores, &pid.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // A process that has ended meanwhile needs no core.
    done.expect("taskset is there");
}

pub(crate) fn unpin(pid: u32) {
    pin(pid, ALL);
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
