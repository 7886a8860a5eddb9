//! A real Postgres for tests: one private cluster per process, on a Unix socket in
//! a temporary directory, gone with the process however it ends. Each call
//! makes databases of its own, so tests do not see each other.
//!
//! `HANSANG_TEST_DATABASE_URL` names another server instead, by a superuser's URL
//! with `{database}` in it; what tests make there stays there.
//!
//! ```no_run
//! # async fn example() {
//! let made = testkit::database(&[("V1__page", "create table page (id uuid primary key)")]).await;
//! assert_eq!(testkit::number(&made.database, "select count(*) from page").await, 0);
//! # }
//! ```
//!
//! It refuses to pretend: the Postgres is one, and so are the sockets.

mod certificates;
mod program;
pub mod proxy;
mod python;
pub mod stage;
mod wait;

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::LazyLock,
    thread,
    time::Duration,
};

use embedded_postgres::{Binaries, User};
use nix::{
    sys::{
        signal::{Signal, kill},
        statvfs::statvfs,
    },
    unistd::Pid,
};
use pg::{
    Database, Migrations,
    migrate::{KIT, migrate},
};
use settings::{DatabaseSettings, Secret};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

pub use self::{
    certificates::Certificates,
    program::{Program, Up, data_dir, free_address, program},
    python::python,
    wait::{eventually, patience, until},
};

/// A fresh database with the tables that every service has and a service's own.
pub struct TestDatabase {
    /// How to reach it; the service's name does not matter.
    pub settings: DatabaseSettings,
    /// A pool of connections to it.
    pub database: Database,
}

/// Makes a database and migrates it.
///
/// # Panics
/// When there is no Postgres.
pub async fn database(own: Migrations) -> TestDatabase {
    let settings = databases(&["test"]).await;
    migrate(&settings, "test", own).await.expect("migrations apply");
    let database = Database::new(&settings, "test").expect("settings are right");
    TestDatabase { settings, database }
}

/// Makes a database for each of these services, under one URL: with the tables that every service has, or
/// empty, as it comes.
///
/// # Panics
/// When there is no Postgres.
pub async fn databases(services: &[&str]) -> DatabaseSettings {
    let url = &CLUSTER.url;
    let admin = connect(&url.replace("{database}", "postgres")).await;
    let prefix = format!("test_{}_", Uuid::now_v7().simple());
    // Copying the files is quicker; before version 15 nothing else is done.
    let sql = "select current_setting('server_version_num')::int >= 150000";
    let chooses: bool = admin.query_one(sql, &[]).await.expect("a version").get(0);
    let strategy = if chooses { "strategy file_copy" } else { "" };
    for service in services {
        let name = format!("{prefix}{service}");
        let sql = format!("create database {name} {strategy}");
        admin.batch_execute(&sql).await.expect("databases can be made");
        // A copy's log would be taken for the original.
        let sql = "do $$ begin if to_regclass('log') is not null then
            update log set incarnation = gen_random_uuid(); end if; end $$";
        let copy = connect(&url.replace("{database}", &name)).await;
        copy.batch_execute(sql).await.expect("its log is its own");
    }
    let url = Secret::new(url.replace("{database}", &format!("{prefix}{{service}}")));
    // A busy machine is no reason to fail.
    DatabaseSettings {
        url,
        statement_timeout_ms: 30_000,
        acquire_timeout_ms: 30_000,
        ..DatabaseSettings::default()
    }
}

/// A number out of a database.
///
/// # Panics
/// When the database cannot be read.
pub async fn number(database: &Database, sql: &'static str) -> i64 {
    let mut reader = database.read().await.expect("reads");
    reader.query_one(sql, &[]).await.expect("one row").get(0)
}

/// A command with this idempotency key; always the same request of the same caller.
pub fn command(key: &str) -> pg::idempotency::Command {
    pg::idempotency::Command {
        caller: "test".to_owned(),
        method: "/test.v1.TestService/Test".into(),
        key: Some(key.to_owned()),
        request_hash: Vec::new(),
    }
}

/// Has the server flush what is committed, as it does anywhere but in tests: for benchmarks.
///
/// # Panics
/// When there is no Postgres.
pub async fn flush_commits() {
    let admin = connect(&CLUSTER.url.replace("{database}", "postgres")).await;
    for sql in ["alter system set fsync = on", "select pg_reload_conf()"] {
        admin.batch_execute(sql).await.expect("a superuser may");
    }
}

/// Connects; waits until the server has started, which takes long on a busy machine.
async fn connect(url: &str) -> Client {
    let mut tries = 0;
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) if tries == 3_000 => panic!("no Postgres for tests: {error:?}"),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| match env::var("HANSANG_TEST_DATABASE_URL") {
    Ok(url) => {
        assert!(url.contains("{database}"), "HANSANG_TEST_DATABASE_URL lacks {{database}}");
        Cluster { url, _keeper: None }
    }
    Err(_) => Cluster::start(&[], &[]),
});

/// A Postgres server of a test's own; it ends with the process.
pub struct Cluster {
    /// Its superuser's URL, with `{database}` in it.
    pub url: String,
    /// Cleans up when its input closes, that is when this process ends.
    _keeper: Option<Child>,
}

/// Waits for the end of its input, in a process group of its own, so that nothing that ends the
/// tests ends it before it has cleaned up.
const KEEPER: &str = r#"
    cp -a "$2" "$3/data"
    echo "fsync = off" >> "$3/data/postgresql.conf"
    postgres=$1 directory=$3
    shift 3
    "$postgres" -D "$directory/data" -k "$directory" -c listen_addresses= \
        -c max_connections=300 -c shared_buffers=32MB "$@" >"$directory/log" 2>&1 </dev/null &
    server=$!
    cat >/dev/null
    kill -QUIT $server
    wait $server
    rm -rf "$directory""#;

impl Cluster {
    /// Starts a server with these options of `postgres`, and these files in its directory, which
    /// nobody else may read.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(options: &[&str], files: &[(&str, &[u8])]) -> Self {
        let binaries = Binaries::find(None).expect("Postgres is installed");
        let template = template(&binaries);
        let directory = scratch().join(format!("hansang-test-{}", Uuid::now_v7().simple()));
        let mut keeper = unprivileged(Path::new("sh"), &directory);
        for (name, content) in files {
            let path = directory.join(name);
            fs::write(&path, content).expect("the directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("so is the file");
            if let Some(user) = other_user() {
                user.own(&path).expect("root may");
            }
        }
        let keeper = keeper
            .args(["-c", KEEPER, "sh"])
            .args([&binaries.program("postgres"), &template, &directory])
            .args(options)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let host = directory.display().to_string().replace('/', "%2F");
        let url = format!("postgres://hansang@{host}/{{database}}");
        Self { url, _keeper: Some(keeper) }
    }

    /// Starts a server that asks for passwords at a port of `localhost`, which it answers, and lets
    /// the superuser in by its socket. Waits until it does.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn with_passwords() -> (Self, u16, Client) {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let hba = "local all all trust\nhost all all all scram-sha-256\n";
        let number = format!("port={port}");
        let options = ["-c", "listen_addresses=localhost", "-c", &number, "-c", "hba_file=hba"];
        let mut cluster = Self::start(&options, &[("hba", hba.as_bytes())]);
        cluster.url = cluster.url.replace("/{database}", &format!(":{port}/{{database}}"));
        let admin = connect(&cluster.url.replace("{database}", "postgres")).await;
        (cluster, port, admin)
    }
}

/// Where the files of tests are: in memory, if there is enough of it. A database is some 900 files, and to make
/// those takes a disk ten times as long; nothing of a test has to outlive the machine.
pub fn scratch() -> PathBuf {
    /// More than all that run at once fill.
    const ENOUGH: u64 = 4 << 30;
    let shared = Path::new("/dev/shm");
    let free = statvfs(shared).map_or(0, |it| it.blocks_available() * it.fragment_size());
    if free >= ENOUGH { shared.to_path_buf() } else { env::temp_dir() }
}

/// A cluster to copy, made by whoever comes first: five times faster than `initdb`. What is created in it
/// has the tables that every service has, which would take longer to make than most tests.
fn template(binaries: &Binaries) -> PathBuf {
    let initdb = binaries.program("initdb");
    let whose = if other_user().is_some() { "lent" } else { "own" };
    let made_by = initdb.display().to_string().replace('/', "-");
    let mut tables = DefaultHasher::new();
    KIT.hash(&mut tables);
    let name = format!("hansang-test-template-{whose}{made_by}-{:x}", tables.finish());
    let template = scratch().join(name);
    let lock = File::create(template.with_extension("lock")).expect("a lock file");
    lock.lock().expect("locks");
    if !template.exists() {
        let draft = template.with_extension("draft");
        // Of somebody who did not come to an end.
        let _ = fs::remove_dir_all(&draft);
        let made = unprivileged(&initdb, &draft)
            .args(["--no-sync", "--auth=trust", "--username=hansang", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata", "."])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Where the caller's runtime does not mind.
        thread::scope(|scope| scope.spawn(|| make_tables(binaries, &draft)).join())
            .expect("migrations apply");
        fs::rename(&draft, &template).expect("renames");
    }
    template
}

/// Makes the tables that every service has in what new databases of this cluster are copies of.
fn make_tables(binaries: &Binaries, cluster: &Path) {
    let mut postgres = as_other_user(&binaries.program("postgres"), cluster)
        .args(["-D", ".", "-k", ".", "-c", "listen_addresses=", "-c", "fsync=off"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres starts");
    let host = cluster.display().to_string().replace('/', "%2F");
    let url = format!("postgres://hansang@{host}/template1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        drop(connect(&url).await);
        let url = Secret::new(url);
        let settings = DatabaseSettings { url, ..DatabaseSettings::default() };
        migrate(&settings, "template1", &[]).await.expect("migrations apply");
    });
    // A fast shutdown, with a checkpoint.
    let pid = Pid::from_raw(i32::try_from(postgres.id()).expect("a process id"));
    kill(pid, Signal::SIGINT).expect("it runs");
    assert!(postgres.wait().expect("our child").success(), "postgres stops in order");
}

/// A command in a new directory that is its own. Not as root: Postgres refuses to.
fn unprivileged(program: &Path, directory: &Path) -> Command {
    fs::create_dir(directory).expect("the temporary directory is writable");
    if let Some(user) = other_user() {
        user.own(directory).expect("root may");
    }
    as_other_user(program, directory)
}

/// A command in this directory, not as root.
fn as_other_user(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(directory);
    if let Some(user) = other_user() {
        user.run(&mut command);
    }
    command
}

/// Whose the cluster is when we are root.
fn other_user() -> Option<User> {
    User::other().expect("there is a user for Postgres")
}
