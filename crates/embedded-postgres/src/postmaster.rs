//! The Postgres server process: one that ends when we end. A watcher holds the
//! other end of a pipe; when ours closes without a word (we were killed), it has
//! Postgres shut down in good order.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, ChildStdin},
    time::{sleep, timeout},
};

use super::{MAX_CONNECTIONS, binaries::Binaries, home::Home};

/// How long a shutdown may take until it is repeated with more force.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
const SLOWEST_POLL: Duration = Duration::from_millis(100);

/// The shell becomes Postgres itself; the watcher is nobody's child, since Postgres would take
/// the end of an unknown child for a crash. A line on the pipe means that it is no longer needed.
const GUARDED: &str = r#"
exec 3<&0 </dev/null
( { read -r _ <&3 || kill -INT "$$"; } & )
exec "$@" 3<&-
"#;

/// In `postmaster.pid`, which Postgres describes in its `miscadmin.h`.
const SOCKET_DIR_LINE: usize = 4;

/// Durable whatever the defaults of the day; no port; nobody else's socket.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "jit=off",
    // It visits each of ten databases in turn: every minute each, that is a third of what an idle deployment
    // costs.
    "autovacuum_naptime=2min",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
    "logging_collector=off",
    "log_destination=stderr",
    "cluster_name=hansang",
];

/// A Postgres server that we started.
#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
    /// Closing it without a word has the watcher stop Postgres.
    lifeline: Option<ChildStdin>,
}

/// Creates the cluster; an interrupted attempt leaves nothing behind that counts.
pub(super) async fn init(binaries: &Binaries, home: &Home) -> Result<()> {
    let unfinished = home.unfinished();
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    let mut initdb = home.command(&binaries.program("initdb"))?;
    initdb.args(["--username=postgres", "--encoding=UTF8", "--locale=C", "--no-instructions"]);
    // Whoever may enter the socket's directory is the owner; there is no other way in.
    initdb.args(["--auth-local=trust", "--auth-host=reject", "--pgdata"]).arg(&unfinished);
    initdb.process_group(0);
    let status = initdb.status().await.context("cannot run initdb")?;
    if !status.success() {
        bail!("initdb failed: {}", home.last_log_line());
    }
    fs::rename(&unfinished, home.cluster()).context("cannot put the new cluster in its place")
}

/// Ends a Postgres of this cluster that outlived its owner, and clears what a dead one left.
pub(super) async fn stop_orphan(home: &Home) -> Result<()> {
    let pid_file = home.cluster().join("postmaster.pid");
    let Some(pid) = fs::read_to_string(&pid_file).ok().and_then(|text| pid_in(&text)) else {
        return Ok(());
    };
    if !is_postgres_of(pid, home) {
        // The number may belong to somebody else by now, which Postgres would take for itself.
        let _ = fs::remove_file(&pid_file);
        return Ok(());
    }
    for signal in [Signal::SIGINT, Signal::SIGQUIT] {
        let _ = kill(pid, signal);
        let gone = async {
            while is_postgres_of(pid, home) {
                sleep(POLL).await;
            }
        };
        if timeout(STOP_LIMIT, gone).await.is_ok() {
            return Ok(());
        }
    }
    bail!("a Postgres of an earlier run (process {pid}) does not stop; end it and try again")
}

/// Where the server of that cluster has its socket, as it said itself.
pub(super) fn socket_dir(cluster: &Path) -> std::io::Result<PathBuf> {
    let text = fs::read_to_string(cluster.join("postmaster.pid"))?;
    let line = text.lines().nth(SOCKET_DIR_LINE).filter(|line| !line.is_empty());
    line.map(PathBuf::from).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

fn pid_in(postmaster_pid: &str) -> Option<Pid> {
    let number: i32 = postmaster_pid.lines().next()?.trim().parse().ok()?;
    (number > 1).then(|| Pid::from_raw(number))
}

/// Whether that process is a server of this cluster: its command line names the directory. One
/// that has ended has no command line, even while nobody has taken note of its end.
fn is_postgres_of(pid: Pid, home: &Home) -> bool {
    let command_line = match fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) if PathBuf::from("/proc/self").exists() => return false,
        Err(_) => {
            let ps = std::process::Command::new("ps")
                .args(["-o", "command=", "-p", &pid.to_string()])
                .output();
            ps.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default()
        }
    };
    command_line.contains(&*home.cluster().to_string_lossy())
}

impl Postmaster {
    /// Starts the server in a process group of its own: the terminal's Ctrl-C is for us.
    pub(super) fn spawn(binaries: &Binaries, home: &Home) -> Result<Self> {
        let mut command = home.command("/bin/sh".as_ref())?;
        command.args(["-c", GUARDED, "sh"]).arg(binaries.program("postgres"));
        command.arg("-D").arg(home.cluster());
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let socket_dir = home.socket_dir().to_string_lossy().replace('"', "\"\"");
        command.args(["-c", &format!("unix_socket_directories=\"{socket_dir}\"")]);
        command.args(["-c", &format!("max_connections={MAX_CONNECTIONS}")]);
        command.stdin(Stdio::piped()).process_group(0);
        let mut child = command.spawn().context("cannot start Postgres")?;
        let lifeline = child.stdin.take();
        Ok(Self { child, lifeline })
    }

    /// Answers once the server accepts connections; an error when it ended instead.
    pub(super) async fn ready(&mut self, config: &tokio_postgres::Config) -> Result<()> {
        let mut wait = POLL;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot watch Postgres")? {
                bail!("Postgres did not start ({status})");
            }
            if let Ok((client, connection)) = config.connect(tokio_postgres::NoTls).await {
                drop((client, connection));
                return Ok(());
            }
            sleep(wait).await;
            // Each try costs the server a process, which a recovery has better use for.
            wait = (wait * 5 / 4).min(SLOWEST_POLL);
        }
    }

    /// Waits until the server ends.
    pub(super) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.dismiss_watcher().await;
        status
    }

    /// A fast shutdown: sessions are ended, everything is written.
    pub(super) async fn stop(&mut self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
            if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
                let _ = kill(Pid::from_raw(pid), signal);
            }
            if timeout(STOP_LIMIT, self.child.wait()).await.is_ok() {
                break;
            }
        }
        self.dismiss_watcher().await;
    }

    async fn dismiss_watcher(&mut self) {
        if let Some(mut lifeline) = self.lifeline.take() {
            let _ = lifeline.write_all(b"\n").await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_that_was_cut_short_names_nobody() {
        assert_eq!(pid_in("4711\n/data\n"), Some(Pid::from_raw(4711)));
        assert_eq!(pid_in(""), None);
        // kill(-1) would reach every process there is.
        assert_eq!(pid_in("-1\n"), None);
        assert_eq!(pid_in("0\n"), None);
    }
}
