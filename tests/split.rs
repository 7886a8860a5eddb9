//! `hansang up --split`: one process per service. One that is killed comes back; all
//! end with the one that keeps them, however that ends. Runs the real program.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use app::rest::Rest;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use testkit::{data_dir, free_address, until};

/// Every service and the gateway.
const PARTS: usize = app::run::SERVICES.len() + 1;

/// A line of `processes.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Process {
    service: String,
    pid: i32,
    grpc: SocketAddr,
}

/// A running `hansang up --split`.
struct Split {
    up: testkit::Up,
    dir: PathBuf,
}

fn hansang(arguments: &[&str], dir: &Path) -> Command {
    let mut command = testkit::program(env!("CARGO_BIN_EXE_hansang"));
    command.args(arguments).arg("--data-dir").arg(dir);
    command
}

impl Split {
    /// Waits until it answers.
    async fn start(dir: &Path) -> Self {
        let stderr = File::create(dir.join("stderr")).expect("a file");
        let up = testkit::Up::start(env!("CARGO_BIN_EXE_hansang"), dir, |command| {
            command.arg("--split").stderr(stderr);
        });
        let mut split = Self { up, dir: dir.to_path_buf() };
        while !(split.products().await && split.processes().len() == PARTS) {
            assert_eq!(split.up.program.ended(), None, "{}", split.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        split
    }

    async fn products(&self) -> bool {
        let answer = Rest::new(format!("http://{}", self.up.http)).get("/v1/products").await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    /// The status and the page of an answer.
    async fn ask(
        &self,
        verb: &str,
        path: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> (u16, String) {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let form = "application/x-www-form-urlencoded";
        let mut request =
            Request::builder().method(verb).uri(format!("http://{}{path}", self.up.http));
        request = request.header("content-type", form).header("accept", "text/html");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        let answer = client.request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let page = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&page).into_owned())
    }

    fn processes(&self) -> Vec<Process> {
        let Ok(json) = fs::read(self.dir.join("processes.json")) else { return Vec::new() };
        serde_json::from_slice(&json).expect("whole whenever it is read")
    }

    fn process(&self, service: &str) -> Option<Process> {
        self.processes().into_iter().find(|process| process.service == service)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).expect("text")
    }

    fn signal(&self, signal: Signal) {
        self.up.program.signal(signal);
    }

    fn end(&mut self) -> ExitStatus {
        self.up.program.child().wait().expect("a child")
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it said:\n{}\n{:?}", self.stderr(), self.processes());
        }
    }
}

fn is_gone(process: &Process) -> bool {
    kill(Pid::from_raw(process.pid), None).is_err()
}

fn health(service: &Process) -> bool {
    let grpc = service.grpc.to_string();
    let asked = Command::new(env!("CARGO_BIN_EXE_hansang"))
        .args(["healthcheck", "--grpc", &grpc, "--service", &service.service])
        .output();
    asked.expect("hansang runs").status.success()
}

#[tokio::test(flavor = "multi_thread")]
async fn ops_breaks_what_whoever_is_at_this_machine_wants_broken() {
    let dir = data_dir();
    let split = Split::start(dir.path()).await;
    let page = split.ask("GET", "/ops", "", &[]).await.1;
    assert!(page.contains("Freeze: product") && page.contains("<polyline"), "{page}");
    let fault = async |fault: &str, service: &str, headers: &[(&str, &str)]| {
        let body = format!("fault={fault}&service={service}");
        split.ask("POST", "/ops/faults", &body, headers).await.0
    };

    let own = format!("http://{}", split.up.http);
    let own = [("origin", &*own)];
    let elsewhere = [("origin", "https://elsewhere.example")];
    let before = split.process("product").expect("product runs");
    assert_eq!(fault("kill", "product", &elsewhere).await, 403);
    assert_eq!(fault("kill", "gateway", &own).await, 409);
    assert_eq!(fault("burn", "product", &own).await, 400);
    assert_eq!(split.process("product"), Some(before.clone()));

    for how in ["kill", "restart"] {
        let before = split.process("product").expect("product runs");
        assert_eq!(fault(how, "product", &own).await, 303, "{how}");
        until("another process", async || {
            split.process("product").is_some_and(|it| it.pid != before.pid)
                && split.products().await
        })
        .await;
    }
    let stopped = async || {
        let pid = split.process("product").expect("product runs").pid;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    };
    assert_eq!(fault("freeze", "product", &own).await, 303);
    until("stopped", stopped).await;
    assert_eq!(fault("thaw", "product", &own).await, 303);
    until("goes on", async || !stopped().await && split.products().await).await;
    assert_eq!(fault("cut", "product", &own).await, 303);
    until("its database again", async || split.products().await).await;
    // What is frozen does not keep the others from ending.
    assert_eq!(fault("freeze", "product", &own).await, 303);
    let all = split.processes();
    let began = Instant::now();
    split.signal(Signal::SIGTERM);
    until("all end", async || all.iter().all(is_gone)).await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_comes_back_and_all_end_with_their_keeper() {
    let dir = data_dir();
    let mut split = Split::start(dir.path()).await;

    let before = split.process("product").expect("product runs");
    assert!(health(&before));
    let environment = fs::read(format!("/proc/{}/environ", before.pid)).expect("it runs");
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("service_key.product.pem"), "{environment}");
    let private = ["service_key.", "signing_key", "operator_key"];
    let private: usize = private.iter().map(|key| environment.matches(key).count()).sum();
    assert_eq!(private, 1, "it has others' keys: {environment}");
    kill(Pid::from_raw(before.pid), Signal::SIGKILL).expect("a signal");
    until("product in another process", async || {
        split.process("product").is_some_and(|now| now.pid != before.pid && health(&now))
    })
    .await;
    let after = split.process("product").expect("product runs");
    assert_eq!(after.grpc, before.grpc, "where the others look for it");
    until("the products again", async || split.products().await).await;
    let stderr = split.stderr();
    let told = stderr.lines().filter(|line| line.starts_with("hansang: product"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "{stderr}");
    assert!(told[0].contains("SIGKILL") && told[0].contains("restarting it in"), "{stderr}");
    let verify = hansang(&["verify"], dir.path()).output().expect("hansang runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));

    // Killed, it can tell nobody.
    let processes = split.processes();
    split.signal(Signal::SIGKILL);
    split.end();
    until("no process left", async || processes.iter().all(is_gone)).await;

    let mut split = Split::start(dir.path()).await;
    let processes = split.processes();
    split.signal(Signal::SIGINT);
    assert!(split.end().success(), "{}", split.stderr());
    assert!(processes.iter().all(is_gone), "{:?}", split.stderr());
    assert_eq!(split.processes(), [], "processes.json is still there");
    assert!(!split.stderr().contains("hansang:"), "not in good order: {}", split.stderr());
}

#[test]
fn the_demo_plays_the_same_in_processes_of_their_own() {
    let dir = data_dir();
    let ((http, _one), (grpc, _other)) = (free_address(), free_address());
    let (http, grpc) = (http.to_string(), grpc.to_string());
    let played =
        hansang(&["demo", "--split", "--exit", "--http", &http, "--grpc", &grpc], dir.path())
            .output()
            .expect("hansang runs");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success(), "{stdout}{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_cannot_start_ends_the_others_and_says_so() {
    let dir = data_dir();
    // Only the notification service knows what may be there, and it refuses this.
    let refused =
        hansang(&["up", "--split", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"], dir.path())
            .env("HANSANG__SERVICE__NOTIFICATION__SMPT", "x")
            .output()
            .expect("hansang runs");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{stderr}");
    assert!(stderr.contains("smpt") && stderr.contains("notification"), "{stderr}");
}
