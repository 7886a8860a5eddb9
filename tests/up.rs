//! `hansang up` as a newcomer meets it: it starts, it keeps what it was given,
//! whatever ended it, and it says in one line what is wrong. Runs the real program.

use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use app::{logins, rest::Rest};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use testkit::data_dir;

const LIMIT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

fn hansang(arguments: &[&str]) -> Command {
    let mut command = testkit::program(env!("CARGO_BIN_EXE_hansang"));
    command.args(arguments);
    command
}

/// Runs it to its end: it must fail, and say why in one line that has `word` in it.
fn refused(command: &mut Command, word: &str) {
    let Output { status, stderr, .. } = command.output().expect("hansang runs");
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(!status.success(), "it went on: {stderr}");
    assert_eq!(stderr.trim().lines().count(), 1, "more than a line: {stderr}");
    assert!(stderr.contains(word), "no {word:?} in: {stderr}");
}

/// A running `hansang up`.
struct Up(testkit::Up);

impl Up {
    /// Waits until it answers.
    async fn start(dir: &Path) -> Self {
        Self::start_with(dir, &[]).await
    }

    /// The same, with these variables told.
    async fn start_with(dir: &Path, told: &[(&str, &str)]) -> Self {
        let mut up = testkit::Up::start(env!("CARGO_BIN_EXE_hansang"), dir, |command| {
            command.envs(told.iter().copied()).stdout(Stdio::piped());
        });
        up.answers().await;
        Self(up)
    }

    fn rest(&self) -> Rest {
        Rest::new(format!("http://{}", self.0.http))
    }

    fn signal(&self, signal: Signal) {
        self.0.program.signal(signal);
    }

    /// Waits for its end; answers whether it ended well, and what it had printed.
    fn end(mut self) -> (bool, String) {
        let (mut printed, child) = (String::new(), self.0.program.child());
        child.stdout.take().expect("a pipe").read_to_string(&mut printed).expect("text");
        (child.wait().expect("a child").success(), printed)
    }
}

async fn register(up: &Up, dir: &Path, name: &str) -> String {
    let seller = logins::ensure(dir).expect("logins").pop().expect("a seller");
    let body = json!({ "email": seller.email, "password": seller.password });
    let session = up.rest().post("/v1/sessions", body).await.expect("an answer");
    let price = json!({ "currencyCode": "KRW", "units": "1000", "nanos": 0 });
    let body = json!({ "displayName": name, "price": price, "stock": 1 });
    let seller = up.rest().with_token(session.text("accessToken"));
    let product = seller.post("/v1/products", body).await.expect("an answer");
    assert_eq!(product.status.as_u16(), 201, "{product}");
    product.text("id")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_registered_survives_a_restart_and_a_kill() {
    let dir = data_dir();
    let up = Up::start(dir.path()).await;
    let bowl = register(&up, dir.path(), "Bowl").await;
    refused(
        hansang(&["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path()),
        "in use by another hansang",
    );

    let processes = fs::read(dir.path().join("processes.json")).expect("what runs where");
    let processes: serde_json::Value = serde_json::from_slice(&processes).expect("JSON");
    let here = processes.as_array().expect("a list").iter();
    let here = here.filter(|part| part["pid"] == up.0.program.pid()).count();
    assert_eq!(here, app::run::SERVICES.len() + 1, "all in one: {processes}");
    let verify = hansang(&["verify", "--data-dir"]).arg(dir.path()).output().expect("it runs");
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));

    up.signal(Signal::SIGKILL);
    drop(up);
    refused(hansang(&["verify", "--data-dir"]).arg(dir.path()), "");
    let up = Up::start(dir.path()).await;
    let spoon = register(&up, dir.path(), "Spoon").await;

    up.signal(Signal::SIGINT);
    let (well, printed) = up.end();
    assert!(well, "Ctrl-C is not a failure: {printed}");
    assert!(printed.contains("seller@hansang.local"), "no logins in: {printed}");
    assert!(!dir.path().join("postgres/data/postmaster.pid").exists(), "Postgres is still there");

    let up = Up::start(dir.path()).await;
    for product in [bowl, spoon] {
        let found = up.rest().get(&format!("/v1/products/{product}")).await.expect("an answer");
        assert_eq!(found.status.as_u16(), 200, "{found}");
    }
    up.signal(Signal::SIGTERM);
    assert!(up.end().0, "SIGTERM is not a failure");
}

/// Kills the Postgres of a data directory, all of its processes.
fn kill_postgres(dir: &Path) {
    let pid = fs::read_to_string(dir.join("postgres/data/postmaster.pid")).expect("it runs");
    let postmaster: i32 = pid.lines().next().and_then(|line| line.parse().ok()).expect("a number");
    let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
    let children = children.unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    for pid in [postmaster].into_iter().chain(children) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_killed_whole_is_back_with_everything() {
    let dir = data_dir();
    let up = Up::start(dir.path()).await;
    register(&up, dir.path(), "Bowl").await;
    kill_postgres(dir.path());
    let began = Instant::now();
    let seller = logins::ensure(dir.path()).expect("logins").pop().expect("a seller");
    let sign_in = json!({ "email": seller.email, "password": seller.password });
    loop {
        let answer = up.rest().post("/v1/sessions", sign_in.clone()).await.expect("it is up");
        if answer.status.is_success() {
            break;
        }
        assert!(began.elapsed() < LIMIT, "{answer}");
        tokio::time::sleep(POLL).await;
    }
    register(&up, dir.path(), "Spoon").await;
    up.signal(Signal::SIGTERM);
    assert!(up.end().0, "SIGTERM is not a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_of_a_deployment_is_made_by_hand() {
    let dir = data_dir();
    let up = Up::start(dir.path()).await;
    let body = json!({
        "email": "kim@example.com", "password": "correct horse", "displayName": "Kim",
    });
    let member = up.rest().post("/v1/members", body).await.expect("an answer");
    assert_eq!(member.status.as_u16(), 201, "{member}");
    let body = json!({ "email": "kim@example.com", "password": "correct horse" });
    let audit = async || {
        let session = up.rest().post("/v1/sessions", body.clone()).await.expect("an answer");
        let member = up.rest().with_token(session.text("accessToken"));
        member.get("/v1/auditEntries").await.expect("an answer").status.as_u16()
    };
    assert_eq!(audit().await, 403);
    let data_dir = dir.path().to_str().expect("a path");
    let grant = |email: &str, role: &str| {
        let arguments = ["admin", "grant", "--email", email, "--role", role];
        let mut command = hansang(&arguments);
        command.args(["--data-dir", data_dir]);
        command
    };
    for said in ["from the next sign-in on", "already"] {
        let output = grant("kim@example.com", "ADMIN").output().expect("hansang runs");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains(said), "{output:?}");
    }
    assert_eq!(audit().await, 200);
    refused(&mut grant("lee@example.com", "ADMIN"), "lee@example.com");
    refused(&mut grant("kim@example.com", "KING"), "SELLER or ADMIN");
    up.signal(Signal::SIGTERM);
    assert!(up.end().0, "SIGTERM is not a failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_given_server_each_role_has_a_password_that_tells_of_no_other() {
    let (_cluster, port, admin) = testkit::Cluster::with_passwords().await;
    admin.batch_execute("create role root superuser login password 'pw'").await.expect("a role");
    let dir = data_dir();
    // As earlier versions made passwords, so that who knew one knew all.
    fs::write(dir.path().join("database_secret"), "s3").expect("writes");
    let order = "create role hansang_order login password 'order-s3'";
    admin.batch_execute(order).await.expect("a role");
    let enter = async |role: &str, password: &str| {
        let url = format!("postgres://hansang_{role}:{password}@127.0.0.1:{port}/postgres");
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok()
    };
    assert!(enter("order", "order-s3").await);

    let url = format!("postgres://root:pw@127.0.0.1:{port}/postgres");
    let up = Up::start_with(dir.path(), &[("HANSANG__DATABASE__URL", &url)]).await;
    let verify = hansang(&["verify", "--data-dir"])
        .arg(dir.path())
        .env("HANSANG__DATABASE__URL", &url)
        .output()
        .expect("it runs");
    assert!(verify.status.success(), "{verify:?}");
    up.signal(Signal::SIGTERM);
    assert!(up.end().0, "SIGTERM is not a failure");

    assert!(!enter("order", "order-s3").await, "the old password");
    assert!(!dir.path().join("database_secret").exists());
    let own = |role: &str| {
        let file = dir.path().join("database_passwords").join(role);
        assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::read_to_string(file).expect("a password")
    };
    for (role, password, enters) in [
        ("order", own("order"), true),
        ("verify", own("verify"), true),
        ("order", own("payment"), false),
    ] {
        assert_eq!(enter(role, &password).await, enters, "{role}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_flag() {
    let dir = data_dir();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    for flag in ["--http", "--grpc"] {
        let other = if flag == "--http" { "--grpc" } else { "--http" };
        refused(
            hansang(&["up", flag, &taken, other, "127.0.0.1:0", "--data-dir"]).arg(dir.path()),
            &format!("choose another with {flag}"),
        );
    }
}

#[test]
fn an_unreachable_database_is_named() {
    let dir = data_dir();
    for url in ["postgres://nobody@127.0.0.1:9/shop", "postgres://u@127.0.0.1:9/{service}"] {
        refused(
            hansang(&["up", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir"])
                .arg(dir.path())
                .env("HANSANG__DATABASE__URL", url),
            "cannot reach the database",
        );
    }
}

#[test]
fn an_unknown_setting_is_named() {
    refused(hansang(&["serve"]).env("HANSANG__DATABASE__POLL_SIZE", "3"), "poll_size");
    refused(&mut hansang(&["serve", "--run", "oder"]), "oder");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    refused(&mut hansang(&["up", "--data-dir", "/proc/hansang"]), "choose another --data-dir");
}
