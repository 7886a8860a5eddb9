//! A private Postgres for one data directory: found, initialised, started,
//! watched and stopped here. It listens on a Unix socket in a directory that
//! only its own user may enter, and on no port.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use embedded_postgres::Embedded;
//!
//! let mut postgres = Embedded::start("data".as_ref()).await?;
//! let (client, connection) = postgres.admin()?.connect().await?;
//! tokio::select! {
//!     never = postgres.keep() => match never {},
//!     done = client.batch_execute("create database page") => done?,
//! }
//! # drop(connection);
//! postgres.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! It refuses to touch a cluster that it did not create, to install anything, and to give up: a
//! server that ends is started again.

mod binaries;
mod home;
mod postmaster;

use std::{convert::Infallible, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail};
use pg::Connector;
use tokio::time::{Instant, sleep, timeout};

use self::{home::Home, postmaster::Postmaster};

pub use self::{binaries::Binaries, home::User};

/// Every service's pool, with room for replicas and for a person with psql.
const MAX_CONNECTIONS: u16 = 300;
/// Recovery after a crash replays at most one checkpoint's worth of log.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How soon it is started again, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What has run for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(10);

/// A running Postgres that ends with this process, whichever way that ends.
#[derive(Debug)]
pub struct Embedded {
    home: Home,
    binaries: Binaries,
    postmaster: Postmaster,
}

/// A connector for the superuser of a cluster.
pub fn admin(config: tokio_postgres::Config) -> Result<Connector> {
    Ok(Connector::local(config, Duration::from_secs(5))?)
}

/// How the superuser of a cluster connects that another process runs below `data_dir`.
pub fn running(data_dir: &Path) -> Result<tokio_postgres::Config> {
    match postmaster::socket_dir(&data_dir.join("postgres/data")) {
        Ok(socket_dir) => Ok(home::admin_config(&socket_dir)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "no Postgres runs for {}: `hansang up` starts it there, --data-dir or database.url \
             names another place",
            data_dir.display()
        ),
        Err(error) => Err(error)
            .with_context(|| format!("cannot look for a Postgres below {}", data_dir.display())),
    }
}

impl Embedded {
    /// Starts the cluster below `data_dir`, which exists, and creates it the first time.
    /// Answers when it accepts connections. The caller holds the lock of `data_dir`.
    pub async fn start(data_dir: &Path) -> Result<Self> {
        let home = Home::prepare(data_dir)?;
        let binaries = Binaries::find(home.version())?;
        if home.version().is_none() {
            postmaster::init(&binaries, &home).await?;
        }
        let postmaster = start(&binaries, &home).await?;
        Ok(Self { home, binaries, postmaster })
    }

    /// Starts it again whenever it ends by itself, or by force: more and more slowly, but always.
    pub async fn keep(&mut self) -> Infallible {
        let (mut born, mut failures) = (Instant::now(), 0);
        loop {
            let how = match self.postmaster.wait().await {
                Ok(status) => format!("{status}; its log ends: {}", self.home.last_log_line()),
                Err(error) => format!("cannot watch it: {error}"),
            };
            eprintln!("hansang: Postgres ended, restarting it: {how}");
            failures = if born.elapsed() < STEADY { failures + 1 } else { 1 };
            self.postmaster = loop {
                sleep(pause(failures)).await;
                match start(&self.binaries, &self.home).await {
                    Ok(postmaster) => break postmaster,
                    Err(error) => eprintln!("hansang: {error:#}; restarting Postgres"),
                }
                failures += 1;
            };
            born = Instant::now();
        }
    }

    /// Connects its superuser.
    pub fn admin(&self) -> Result<Connector> {
        admin(self.admin_config())
    }

    /// How its superuser connects: to create databases and roles, for nothing else.
    pub fn admin_config(&self) -> tokio_postgres::Config {
        self.home.admin_config()
    }

    /// A line for people who want to look inside.
    pub fn psql(&self) -> String {
        format!("psql -h {} -U postgres", self.home.socket_dir().display())
    }

    /// Where the files are, when they could not be below the data directory.
    pub fn elsewhere(&self) -> Option<&Path> {
        self.home.elsewhere()
    }

    /// Ends every session and stops, with everything written.
    pub async fn stop(mut self) {
        self.postmaster.stop().await;
    }
}

/// Starts the server of a cluster; answers when it accepts connections.
async fn start(binaries: &Binaries, home: &Home) -> Result<Postmaster> {
    postmaster::stop_orphan(home).await?;
    let mut postmaster = Postmaster::spawn(binaries, home)?;
    match timeout(START_LIMIT, postmaster.ready(&home.admin_config())).await {
        Ok(Ok(())) => Ok(postmaster),
        Ok(Err(error)) => bail!("{error}: {}", home.last_log_line()),
        Err(_) => {
            postmaster.stop().await;
            bail!("Postgres did not start in {START_LIMIT:?}: {}", home.last_log_line())
        }
    }
}

/// How long to wait after so many failures in a row, the first being 1.
fn pause(failures: u32) -> Duration {
    AGAIN.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(AGAIN.1)
}
