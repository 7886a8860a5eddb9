//! How long a newcomer waits, and what the whole house costs at rest: `hansang up`
//! on an initialised cluster until it answers, and its memory two seconds later.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use app::rest::Rest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const STARTS: usize = 5;
const REST: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("hansang-start-").tempdir().expect("a directory");
    // Postgres's own user has to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    let (first, up) = start(dir.path()).await;
    stop(up);
    let mut starts = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let (took, up) = start(dir.path()).await;
        starts.push(took);
        tokio::time::sleep(REST).await;
        memory = memory.max(resident_kilobytes(up.id()));
        stop(up);
    }
    starts.sort_unstable();
    let median = starts[STARTS / 2];
    println!("\nthe whole house in one process\n");
    println!("first start, with initdb      {:>6.2} s", first.as_secs_f64());
    println!(
        "start to ready, median of {STARTS}   {:>6.2} s    goal: under 2 s",
        median.as_secs_f64()
    );
    println!("at rest, without Postgres     {:>6} MB   goal: under 100 MB", memory / 1024);
}

/// Starts it; answers how long it took until it answered.
async fn start(dir: &Path) -> (Duration, Child) {
    let (http, grpc) = (free_address(), free_address());
    let began = Instant::now();
    let up = Command::new(env!("CARGO_BIN_EXE_hansang"))
        .args(["up", "--http", &http.to_string(), "--grpc", &grpc.to_string(), "--data-dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("hansang starts");
    let rest = Rest::new(format!("http://{http}"));
    while !rest.get("/v1/products").await.is_ok_and(|answer| answer.status.is_success()) {
        assert!(began.elapsed() < Duration::from_mins(1), "it does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (began.elapsed(), up)
}

fn stop(mut up: Child) {
    let pid = i32::try_from(up.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a signal");
    assert!(up.wait().expect("a child").success(), "it did not stop well");
}

fn resident_kilobytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("kilobytes")
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}
