//! `hansang up`, for benches.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use app::rest::Rest;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Starts a deployment on a data directory; answers once it does, and tells how long that took.
pub(crate) async fn start(dir: &Path) -> (Child, Rest, Duration) {
    let (http, grpc) = (free_address(), free_address());
    let began = Instant::now();
    let child = Command::new(env!("CARGO_BIN_EXE_hansang"))
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
    (child, rest, began.elapsed())
}

pub(crate) fn stop(mut up: Child) {
    let pid = i32::try_from(up.id()).expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a signal");
    assert!(up.wait().expect("a child").success(), "it did not stop well");
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}
