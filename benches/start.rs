//! How long a newcomer waits, and what the whole deployment costs at rest: `hansang up`
//! on an initialised cluster until it answers, and its memory two seconds later.

mod up;

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

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
    let (up, _, first) = up::start(dir.path()).await;
    up.program.stop();
    let mut starts = Vec::new();
    let mut memory = 0;
    for _ in 0..STARTS {
        let (up, _, took) = up::start(dir.path()).await;
        starts.push(took);
        tokio::time::sleep(REST).await;
        memory = memory.max(resident_kilobytes(up.program.pid()));
        up.program.stop();
    }
    starts.sort_unstable();
    let median = starts[STARTS / 2];
    println!("\nthe whole deployment in one process\n");
    println!("first start, with initdb      {:>6.2} s", first.as_secs_f64());
    println!(
        "start to ready, median of {STARTS}   {:>6.2} s    goal: under 2 s",
        median.as_secs_f64()
    );
    println!("at rest, without Postgres     {:>6} MB   goal: under 100 MB", memory / 1024);
}

fn resident_kilobytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let number = line.split_whitespace().nth(1).expect("a number");
    number.parse().expect("kilobytes")
}
