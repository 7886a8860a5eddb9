//! Faults on purpose: what `/ops` asks for, at a socket in the data directory, is done to the processes that
//! are kept here. A process that was killed comes back as any that ends; one that is frozen stays so until
//! it is thawed, or everything stops.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use pg::Database;
use settings::DatabaseSettings;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::Watch;
use crate::run::SERVICES;

/// How long an order may take, to be read and to be carried out.
const WITHIN: Duration = Duration::from_secs(4);
/// The longest order.
const LONGEST: u64 = 100;

/// Where orders are taken.
pub(super) fn socket(data_dir: &Path) -> PathBuf {
    data_dir.join("faults.sock")
}

/// Takes orders, until dropped.
#[derive(Debug)]
pub(super) struct Faults {
    listener: UnixListener,
    watch: Arc<Watch>,
    database: DatabaseSettings,
}

impl Faults {
    /// At the socket of this data directory, for its owner alone.
    pub(super) fn listen(
        data_dir: &Path,
        watch: Arc<Watch>,
        database: DatabaseSettings,
    ) -> Result<Self> {
        let path = socket(data_dir);
        // Of a deployment that was killed: the directory is ours.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).with_context(|| {
            format!("/ops has no switches for faults: cannot listen at {}", path.display())
        })?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, watch, database })
    }

    pub(super) async fn run(self) {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // A client that went away, or sends nothing, is not waited for.
            let _ = timeout(WITHIN, self.answer(stream)).await;
        }
    }

    async fn answer(&self, stream: UnixStream) -> Result<()> {
        let (read, mut write) = stream.into_split();
        let mut order = String::new();
        BufReader::new(read.take(LONGEST)).read_line(&mut order).await?;
        let answer = match self.carry_out(order.trim()).await {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        write.write_all(answer.as_bytes()).await?;
        Ok(())
    }

    async fn carry_out(&self, order: &str) -> Result<()> {
        let (fault, name) = order.split_once(' ').context("an order is a fault and a service")?;
        // Not the gateway: whoever froze that could not thaw it.
        let Some(service) = SERVICES.iter().find(|service| service.name == name) else {
            bail!("there is no service {name}");
        };
        eprintln!("hansang: {fault} {name}, requested on /ops");
        let signal = match fault {
            "kill" => Signal::SIGKILL,
            "restart" => {
                // A frozen one would not hear of it.
                self.signal(service.name, Signal::SIGCONT)?;
                Signal::SIGTERM
            }
            "freeze" => Signal::SIGSTOP,
            "thaw" => Signal::SIGCONT,
            "cut" => return self.cut(service.name).await,
            _ => bail!("unknown fault {fault}"),
        };
        self.signal(service.name, signal)
    }

    fn signal(&self, service: &str, signal: Signal) -> Result<()> {
        let pid = self.watch.processes.pid(service).context("it is not running")?;
        let pid = i32::try_from(pid).context("no process id")?;
        kill(Pid::from_raw(pid), signal).context("the process cannot be signalled")
    }

    /// Ends the service's connections to its database, as a network or a server that fails would.
    async fn cut(&self, service: &str) -> Result<()> {
        let database = Database::new(&self.database, service)?;
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and usename = current_user
               and pid <> pg_backend_pid()";
        database.read().await?.query(sql, &[]).await?;
        Ok(())
    }
}
