//! Postgres servers for tests: each a copy of one that was made once.

use std::{
    env,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, OnceLock},
    thread,
    time::{Duration, SystemTime},
};

use embedded_postgres::{Binaries, User};
use nix::{
    sys::{
        signal::{Signal, kill},
        statvfs::statvfs,
    },
    unistd::Pid,
};
use pg::migrate::{KIT, migrate};
use settings::{DatabaseSettings, Secret};
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Connects; waits until the server has started, which takes long on a busy machine.
pub(crate) async fn connect(url: &str) -> Client {
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

static CLUSTER: OnceLock<Cluster> = OnceLock::new();

/// This process's server.
pub(crate) fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(|| match env::var("HANSANG_TEST_DATABASE_URL") {
        Ok(url) => {
            assert!(url.contains("{database}"), "HANSANG_TEST_DATABASE_URL lacks {{database}}");
            Cluster { url, _keeper: None }
        }
        Err(_) => Cluster::start(&[], &[]),
    })
}

/// Starts this process's server as a copy of one in which `fill`, which gets the superuser's URL with
/// `{database}` in it, has made what many tests begin with; it is called once per `version` of that on a
/// machine. Answers whether what was made is there for the caller: not where the server runs already, nor
/// where `HANSANG_TEST_DATABASE_URL` names one.
///
/// # Panics
/// When there is no Postgres.
pub fn prepared(version: impl Hash, fill: impl AsyncFnOnce(&str) + Send) -> bool {
    let first = CLUSTER.get().is_none() && env::var_os("HANSANG_TEST_DATABASE_URL").is_none();
    first && CLUSTER.set(Cluster::copied(&prepare(version, fill), &[], &[])).is_ok()
}

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
        -c max_connections=300 -c shared_buffers=32MB -c max_wal_size=1GB "$@" >"$directory/log" 2>&1 </dev/null &
    server=$!
    cat >/dev/null
    # A server that has just been started ignores SIGQUIT, as whatever a shell runs in the background; but not SIGTERM.
    kill -TERM $server
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
        Self::copied(&template(), options, files)
    }

    /// The same, with the files of another one that is stopped.
    fn copied(template: &Path, options: &[&str], files: &[(&str, &[u8])]) -> Self {
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
            .args([&BINARIES.program("postgres"), template, &directory])
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

/// A cluster to copy: five times faster than `initdb`. What is created in it has the tables that every service
/// has, which would take longer to make than most tests.
fn template() -> PathBuf {
    made_once("template", KIT, |draft| {
        let made = unprivileged(&BINARIES.program("initdb"), draft)
            .args(["--no-sync", "--auth=trust", "--username=hansang", "--encoding=UTF8"])
            .args(["--locale=C", "--wal-segsize=1", "--pgdata", "."])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fill_cluster(draft, async |url: &str| {
            let url = Secret::new(url.replace("{database}", "template1"));
            let settings = DatabaseSettings { url, ..DatabaseSettings::default() };
            migrate(&settings, "template1", &[]).await.expect("migrations apply");
        });
    })
}

/// A copy of that one, with more in it.
fn prepare(version: impl Hash, fill: impl AsyncFnOnce(&str) + Send) -> PathBuf {
    let template = template();
    made_once("prepared", (KIT, version), |draft| {
        let copied = Command::new("cp").arg("-a").args([&template, draft]).status();
        assert!(copied.expect("cp starts").success(), "{} is copied", template.display());
        fill_cluster(draft, fill);
    })
}

/// A directory that `make` makes when this version of it is not there; others wait for it. Versions that nobody
/// has asked for in a day make room for it.
fn made_once(kind: &str, version: impl Hash, make: impl FnOnce(&Path)) -> PathBuf {
    const DAY: Duration = Duration::from_hours(24);
    let mut hasher = DefaultHasher::new();
    (version, BINARIES.program("initdb")).hash(&mut hasher);
    let whose = if other_user().is_some() { "lent" } else { "own" };
    let prefix = format!("hansang-test-{kind}-{whose}-");
    let directory = scratch().join(format!("{prefix}{:x}", hasher.finish()));
    let lock = File::create(directory.with_extension("lock")).expect("a lock file");
    lock.lock().expect("locks");
    if !directory.exists() {
        for other in fs::read_dir(scratch()).expect("a directory").flatten() {
            let age = other.metadata().and_then(|it| it.modified()).map(|it| it.elapsed());
            let old = matches!(age, Ok(Ok(age)) if age > DAY);
            if old && other.file_name().to_string_lossy().starts_with(&prefix) {
                // Whoever else removes it, or a lock file that it is not.
                let _ = fs::remove_dir_all(other.path());
            }
        }
        let draft = directory.with_extension("draft");
        // Of somebody who did not come to an end.
        let _ = fs::remove_dir_all(&draft);
        make(&draft);
        fs::rename(&draft, &directory).expect("renames");
    }
    let used = File::open(&directory).and_then(|it| it.set_modified(SystemTime::now()));
    used.expect("it is ours, or we are root");
    directory
}

/// Has `fill` make what it makes in this cluster, which runs as long. It gets the superuser's URL, with
/// `{database}` in it.
fn fill_cluster(cluster: &Path, fill: impl AsyncFnOnce(&str) + Send) {
    let mut postgres = as_other_user(&BINARIES.program("postgres"), cluster)
        .args(["-D", ".", "-k", ".", "-c", "listen_addresses=", "-c", "fsync=off"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres starts");
    let host = cluster.display().to_string().replace('/', "%2F");
    let url = format!("postgres://hansang@{host}/{{database}}");
    let filled = async move || {
        drop(connect(&url.replace("{database}", "template1")).await);
        fill(&url).await;
    };
    // Where the caller's runtime does not mind.
    let filling = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(filled());
    };
    thread::scope(|scope| scope.spawn(filling).join()).expect("a cluster is filled");
    // A fast shutdown, with a checkpoint.
    let pid = Pid::from_raw(i32::try_from(postgres.id()).expect("a process id"));
    kill(pid, Signal::SIGINT).expect("it runs");
    assert!(postgres.wait().expect("our child").success(), "postgres stops in order");
}

/// Looked for once: that runs `pg_config`.
static BINARIES: LazyLock<Binaries> =
    LazyLock::new(|| Binaries::find(None).expect("Postgres is installed"));

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::until;

    #[tokio::test]
    async fn a_server_that_has_just_been_started_ends_with_its_test() {
        let cluster = Cluster::start(&[], &[]);
        let host = cluster.url.split(['@', '/']).nth(3).expect("a host");
        let directory = PathBuf::from(host.replace("%2F", "/"));
        assert!(directory.exists(), "{}", directory.display());
        drop(cluster);
        until("its directory is removed", async || !directory.exists()).await;
    }
}
