//! A Postgres server of the run's own, over TCP so that a proxy can stand before
//! it. It may be stopped without a chance to write anything, and started again.
//! It ends with this process, however that ends.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, getuid},
};
use tokio_postgres::{Client, Config, NoTls};

/// Recovery after an immediate stop takes at most this, on a busy machine too.
const STARTED: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

/// The shell becomes Postgres itself; beside it one waits for the end of our process.
const GUARDED: &str = r#"
exec 3<&0 </dev/null
( { read -r _ <&3 || kill -QUIT "$$"; } & )
exec "$@" 3<&-
"#;

/// A flush protects from a power cut, which is not among the faults: what a killed server has
/// written is there when it starts again.
const SETTINGS: &[&str] =
    &["listen_addresses=127.0.0.1", "max_connections=400", "fsync=off", "jit=off", "timezone=UTC"];

/// The server, running or not.
pub(crate) struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    child: Option<Child>,
}

impl Postgres {
    /// Makes a cluster below `folder` and starts it at this address.
    pub(crate) async fn open(folder: &Path, log: PathBuf, address: SocketAddr) -> Self {
        let bin = binaries().expect("the Postgres server (Debian: apt-get install postgresql)");
        let folder = folder.join("postgres");
        fs::create_dir(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("permissions");
        let mut postgres = Self { bin, folder, log, address, child: None };
        let made = postgres
            .command(postgres.bin.join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--locale=C", "--pgdata", "data"])
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.start().await;
        postgres
    }

    /// How its superuser connects.
    pub(crate) fn admin(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.address.port()).user("postgres").dbname("postgres");
        config.connect_timeout(Duration::from_secs(5));
        config
    }

    /// Starts it, and waits until it takes connections.
    pub(crate) async fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let mut command = self.command("/bin/sh".into());
        command.args(["-c", GUARDED, "sh"]).arg(self.bin.join("postgres")).args(["-D", "data"]);
        command.args(["-k", &self.folder.to_string_lossy()]);
        command.args(["-p", &self.address.port().to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.child = Some(command.spawn().expect("Postgres starts"));
        let began = Instant::now();
        while connect(&self.admin()).await.is_none() {
            assert!(began.elapsed() < STARTED, "Postgres is not up: see {}", self.log.display());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends it as `pg_ctl stop -m immediate` does: sessions are cut, nothing is written.
    pub(crate) async fn stop_immediately(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = i32::try_from(child.id()).expect("a process id");
        let _ = kill(Pid::from_raw(pid), Signal::SIGQUIT);
        while child.try_wait().expect("a child").is_none() {
            tokio::time::sleep(POLL).await;
        }
        // The watcher has nobody left to end, and must not end whoever gets the number next.
        if let Some(mut lifeline) = child.stdin.take() {
            let _ = std::io::Write::write_all(&mut lifeline, b"\n");
        }
    }

    /// A command in the cluster's folder. Not as root: Postgres refuses to.
    fn command(&self, program: PathBuf) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).process_group(0);
        if getuid().is_root() {
            let user = ["postgres", "nobody"]
                .into_iter()
                .find_map(|name| User::from_name(name).ok().flatten());
            let user = user.expect("a user who is not root");
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(&self.folder, Some(uid), Some(gid)).expect("root may");
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its watcher sees the end of this.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// A session, if the server takes one.
pub(crate) async fn connect(config: &Config) -> Option<Client> {
    let (client, connection) = config.connect(NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// Where `initdb` and `postgres` are: on the path, or where Debian has them.
fn binaries() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<_> = debian.map(|version| version.path().join("bin")).collect();
    debian.sort();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev())
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
