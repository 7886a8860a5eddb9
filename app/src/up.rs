//! `hansang up`: everything in one process, on a Postgres of its own unless
//! it is given a server. Makes what is missing (cluster, keys, databases,
//! logins) and keeps what is there.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result};
use clap::Args;
use kit::config::{Secret, Settings};
use tokio_util::sync::CancellationToken;

use crate::{
    cli::ConfigFile,
    console::say,
    data_dir::DataDir,
    databases::Databases,
    keys::Keys,
    logins::{self, Login},
    run::{House, Listeners, Selection},
};

/// What `up` can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Where everything is kept: keys, logins, databases
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    /// Where the gateway listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Where the services listen [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    #[command(flatten)]
    config: ConfigFile,
}

/// What people need to know of a house that is up.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Of the gateway.
    pub(crate) http: SocketAddr,
    /// Of the services.
    pub(crate) grpc: SocketAddr,
    /// Who can sign in from the start.
    pub(crate) logins: Vec<Login>,
}

/// Runs everything until told to stop.
pub(crate) async fn up(options: Options, stop: CancellationToken) -> Result<()> {
    run(options, stop, async |_| Ok(())).await
}

/// Runs everything; once it is up, does `then` beside it. When `then` fails, everything stops.
pub(crate) async fn run<F>(options: Options, stop: CancellationToken, then: F) -> Result<()>
where
    F: AsyncFnOnce(Address) -> Result<()>,
{
    let started = Instant::now();
    let mut settings = load(&options)?;
    kit::telemetry::init(&settings.telemetry)?;
    let data_dir = DataDir::open(&options.data_dir)?;
    let listeners = Listeners::bind(&settings, true).await?;
    let address = Address {
        http: listeners.http()?.context("the gateway listens")?,
        grpc: listeners.grpc()?,
        logins: logins::ensure(data_dir.path())?,
    };
    give_keys(&mut settings, data_dir.path())?;
    settings.peers.template = format!("http://{}", address.grpc);
    let mut databases = Databases::open(&mut settings.database, data_dir.path()).await?;
    let welcome = welcome(&address, &databases, data_dir.path());
    let serving = async {
        let house = House::prepare(&settings, &Selection::all(), listeners, stop.clone()).await?;
        logins::seed(&settings, &address.logins).await?;
        let after = started.elapsed().as_secs_f32();
        say(format_args!("한상 Hansang is up, after {after:.1} s\n\n{welcome}"));
        let then = async {
            let done = then(address.clone()).await;
            if done.is_err() {
                stop.cancel();
            }
            done
        };
        let (served, done) = tokio::join!(house.run(), then);
        done.and(served)
    };
    let done = tokio::select! {
        done = serving => done,
        error = databases.lost() => Err(error),
    };
    stop.cancel();
    databases.close().await;
    done
}

fn load(options: &Options) -> Result<Settings> {
    let mut flags: Vec<(&'static str, String)> = Vec::new();
    flags.extend(options.http.map(|address| ("http.listen", address.to_string())));
    flags.extend(options.grpc.map(|address| ("grpc.listen", address.to_string())));
    if options.config.config.is_none() && env::var_os("HANSANG__TELEMETRY__LOG").is_none() {
        // In front of a person's eyes; whoever wants more says so.
        flags.push(("telemetry.log", "warn".to_owned()));
    }
    options.config.load(flags)
}

/// Uses the keys that are set, or else those of the data directory.
fn give_keys(settings: &mut Settings, data_dir: &Path) -> Result<()> {
    let auth = &mut settings.auth;
    if !auth.jwks.is_empty() || !auth.signing_key.expose().is_empty() {
        return Ok(());
    }
    let keys = Keys::ensure(data_dir)?;
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    auth.jwks = read(&keys.jwks)?;
    auth.signing_key = Secret::new(read(&keys.signing_key)?);
    if auth.service_key.expose().is_empty() {
        auth.service_key = Secret::new(read(&keys.service_key)?);
    }
    Ok(())
}

fn welcome(address: &Address, databases: &Databases, data_dir: &Path) -> String {
    let Address { http, grpc, logins } = address;
    let mut lines = vec![
        format!("  REST    curl http://{http}/v1/products"),
        format!("  gRPC    grpcurl -plaintext {grpc} list"),
        format!("  SQL     {}", databases.for_people()),
        format!("  data    {}", data_dir.display()),
    ];
    for Login { role, email, password } in logins {
        lines.push(format!("  {:<8}{email}  {password}", role.to_lowercase()));
    }
    lines.push("\n  Ctrl-C stops everything; the data stays.\n".to_owned());
    lines.join("\n")
}
