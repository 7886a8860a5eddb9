//! One process of a split deployment: `hansang serve --run X`, with what it has to know
//! in its environment; secrets in files, by their paths. It ends when we end: it
//! watches its standard input, of which we hold the other end.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use settings::{DatabaseSettings, Ops, Settings};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::faults;
use crate::{
    data_dir::write_private,
    run::{SERVICES, WEB},
    up::KeyFile,
};

/// A part of the deployment.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    /// Where it can be reached from this machine.
    pub(super) grpc: SocketAddr,
    /// Where it listens: `--grpc`, and of the gateway alone `--http`.
    pub(super) listen: (SocketAddr, Option<SocketAddr>),
}

/// What a deployment was started with; its processes are started with the same.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    /// Takes the file with the databases' URL.
    pub(crate) data_dir: &'a Path,
    /// `--config`.
    pub(crate) config: Option<&'a Path>,
    /// Keys that nobody has set.
    pub(crate) keys: Vec<KeyFile>,
}

/// How a part is started.
#[derive(Debug)]
pub(super) struct Recipe {
    program: PathBuf,
    config: Option<PathBuf>,
    env: BTreeMap<String, String>,
    keys: Vec<KeyFile>,
    /// With where each service's password is.
    database: DatabaseSettings,
    /// For the gateway.
    ops: Ops,
    faults: PathBuf,
}

/// A part that runs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    pub(super) pid: u32,
    child: Child,
    _lifeline: Option<ChildStdin>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// In words.
    pub(super) how: anyhow::Error,
    /// By itself, rather than by a signal.
    pub(super) gave_up: bool,
}

impl Recipe {
    /// The parts inherit our environment and the configuration file; what was found out here stands
    /// above both. `settings` are those in effect.
    pub(super) fn new(
        settings: &Settings,
        surroundings: Surroundings<'_>,
        addresses: &BTreeMap<&'static str, SocketAddr>,
    ) -> Result<Self> {
        let Surroundings { data_dir, config, keys } = surroundings;
        // As a file: whatever way the URL was given, its file has the last word.
        let url = data_dir.join("database_url");
        write_private(&url, settings.database.url.expose().as_bytes())?;
        let mut env = BTreeMap::from([
            (variable("database.url_file"), url.to_string_lossy().into_owned()),
            (variable("telemetry.log"), settings.telemetry.log.clone()),
        ]);
        if let Some(pictures) = settings.own_text(WEB, "pictures") {
            env.insert(variable("service.web.pictures"), pictures.to_owned());
        }
        for (name, address) in addresses {
            let key = variable(&format!("peers.overrides.{name}"));
            env.insert(key, format!("http://{address}"));
        }
        let program = std::env::current_exe().context("cannot find this program")?;
        let config = config.map(Path::to_path_buf);
        let (database, faults) = (settings.database.clone(), faults::socket(data_dir));
        Ok(Self { program, config, env, keys, database, ops: settings.http.ops, faults })
    }

    pub(super) fn start(&self, part: &Part) -> Result<Process> {
        let name = part.name;
        let mut command = Command::new(&self.program);
        let (grpc, http) = part.listen;
        command.args(["serve", "--lifeline", "--run", name, "--grpc", &grpc.to_string()]);
        if let Some(http) = http {
            command.args(["--run", WEB, "--http", &http.to_string()]);
            if self.ops == Ops::Open {
                command.env(variable("http.ops"), "open");
                command.env(variable("http.ops_faults"), &self.faults);
            }
        }
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.envs(&self.env);
        for key in &self.keys {
            if key.only.is_none_or(|only| only == name) {
                command.env(variable(&format!("{}_file", key.setting)), &key.path);
            }
        }
        let services = SERVICES.iter().any(|service| service.name == name);
        if let Some(path) = self.database.password_path_of(name).filter(|_| services) {
            command.env(variable("database.password_path"), path);
        }
        // The terminal's Ctrl-C is for us, who stop them in order.
        command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = child.id().with_context(|| format!("{name} has no process id"))?;
        // Taken out: waiting for the child would close it.
        let lifeline = child.stdin.take();
        Ok(Process { name, pid, child, _lifeline: lifeline })
    }
}

/// `database.url` is `HANSANG__DATABASE__URL`.
fn variable(key: &str) -> String {
    format!("HANSANG__{}", key.replace('.', "__").to_uppercase())
}

impl Process {
    /// Waits for its end; answers how that came.
    pub(super) async fn ended(&mut self) -> Ended {
        let (name, pid) = (self.name, self.pid);
        match self.child.wait().await {
            Ok(status) => Ended {
                how: anyhow!("{name} (process {pid}) ended: {status}"),
                gave_up: status.signal().is_none(),
            },
            Err(error) => Ended {
                how: anyhow::Error::new(error).context(format!("cannot watch {name}")),
                gave_up: true,
            },
        }
    }

    /// Has it finish what it has under way, and end; with force when that takes too long.
    pub(super) async fn stop(mut self, patience: Duration) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            // Somebody may have frozen it.
            let _ = kill(Pid::from_raw(pid), Signal::SIGCONT);
        }
        if timeout(patience, self.child.wait()).await.is_err() {
            let name = self.name;
            eprintln!("hansang: {name} did not stop in {patience:?} and was killed");
            let _ = self.child.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_a_name_in_the_environment() {
        assert_eq!(variable("peers.overrides.order"), "HANSANG__PEERS__OVERRIDES__ORDER");
    }
}
