//! `hansang up`: everything in one process, or in one per service, on a Postgres of
//! its own unless it is given a server. Makes what is missing (cluster, keys,
//! databases, logins) and keeps what is there.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use settings::{Ops, Settings};
use tokio_util::sync::CancellationToken;

use crate::{
    console::say,
    data_dir::DataDir,
    databases::Databases,
    keys::Keys,
    logins::{self, Login},
    options::ConfigFile,
    processes::{self, Processes},
    run::{Deployment, GATEWAY, Listeners, SERVICES, Selection, WEB},
    split::{Split, Surroundings},
};

/// `database.quiet_poll_ms` where one process has the databases to itself.
const ALONE_POLL_MS: u64 = 5_000;

/// What `up` can be told.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Directory of all data: keys, logins, databases
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    /// Where the gateway listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    http: Option<SocketAddr>,
    /// Where the services listen; with --split, only the gateway's process [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    /// One process per service, and one for the gateway; one that ends is restarted
    #[arg(long)]
    split: bool,
    #[command(flatten)]
    config: ConfigFile,
}

/// What people need to know of a running deployment.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Of the gateway.
    pub(crate) http: SocketAddr,
    /// Whether that is by TLS.
    pub(crate) secure: bool,
    /// Who can sign in from the start.
    pub(crate) logins: Vec<Login>,
    /// What runs where, when each service is a process of its own.
    pub(crate) processes: Option<PathBuf>,
}

impl Address {
    /// The gateway's.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.http)
    }
}

/// A deployment that is ready to run.
enum Ready {
    Whole(Box<Deployment>, SocketAddr, Processes),
    Split(Split),
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
    if settings.http.ops == Ops::Auto && settings.http.is_for_this_machine() {
        settings.http.ops = Ops::Open;
    }
    telemetry::init(&settings.telemetry, "hansang")?;
    if settings.grpc.tls.cert_path.is_some() {
        bail!("grpc.tls is for `hansang serve`: with `up`, all services are on this machine");
    }
    let data_dir = DataDir::open(&options.data_dir)?;
    let listeners = Listeners::bind(&settings, true).await?;
    let address = Address {
        http: listeners.http()?.context("the gateway listens")?,
        secure: settings.http.tls.cert_path.is_some(),
        logins: logins::ensure(data_dir.path())?,
        processes: options.split.then(|| processes::path(data_dir.path())),
    };
    let keys = give_keys(&mut settings, data_dir.path())?;
    settings.peers.template = format!("http://{}", listeners.grpc()?);
    let mut databases = Databases::open(&mut settings.database, data_dir.path()).await?;
    if !options.split && matches!(databases, Databases::Embedded(_)) {
        // Nobody else appends anything.
        settings.database.quiet_poll_ms = settings.database.quiet_poll_ms.max(ALONE_POLL_MS);
    }
    let pictures = data_dir.path().join("pictures").to_string_lossy().into_owned();
    settings.own_text_or(WEB, "pictures", pictures);
    let inside = databases.for_people();
    let serving = Box::pin(async {
        let place = (data_dir.path(), &address.logins[..]);
        let prepare = prepare(&options, &settings, place, keys, listeners, &stop);
        let Some(ready) = stop.run_until_cancelled(Box::pin(prepare)).await else { return Ok(()) };
        let ready = ready?;
        let after = started.elapsed().as_secs_f32();
        let welcome = welcome(&address, &ready.for_people(), &inside, data_dir.path());
        say(format_args!("한상 Hansang is up, after {after:.1} s\n\n{welcome}"));
        let then = async {
            let done = then(address.clone()).await;
            if done.is_err() {
                stop.cancel();
            }
            done
        };
        let (served, done) = tokio::join!(ready.run(), then);
        done.and(served)
    });
    let done = tokio::select! {
        done = serving => done,
        never = databases.keep() => match never {},
    };
    stop.cancel();
    databases.close().await;
    done
}

async fn prepare(
    options: &Options,
    settings: &Settings,
    (data_dir, logins): (&Path, &[Login]),
    keys: Vec<KeyFile>,
    listeners: Listeners,
    stop: &CancellationToken,
) -> Result<Ready> {
    let processes = Processes::none(data_dir);
    if options.split {
        let config = options.config.config.as_deref();
        let surroundings = Surroundings { data_dir, config, keys };
        let seed = logins::seed(settings, logins);
        let start = Split::start(settings, surroundings, listeners, processes, stop, seed);
        let split = Box::pin(start).await?;
        return Ok(Ready::Split(split));
    }
    let grpc = listeners.grpc()?;
    let deployment =
        Deployment::prepare(settings, &Selection::all(), listeners, stop.clone()).await?;
    // Before anything answers.
    logins::seed(settings, logins).await?;
    let parts = SERVICES.iter().map(|service| service.name).chain([GATEWAY]);
    processes.started(parts, std::process::id(), grpc)?;
    Ok(Ready::Whole(Box::new(deployment), grpc, processes))
}

impl Ready {
    /// Where the services answer.
    fn for_people(&self) -> String {
        match self {
            Self::Whole(_, grpc, _) => format!("grpcurl -plaintext {grpc} list"),
            Self::Split(split) => split.for_people(),
        }
    }

    async fn run(self) -> Result<()> {
        match self {
            Self::Whole(deployment, _, _processes) => deployment.run().await,
            Self::Split(split) => split.run().await,
        }
    }
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

/// A key of the data directory, for a setting that nobody has made.
#[derive(Debug)]
pub(crate) struct KeyFile {
    /// `auth.jwks`.
    pub(crate) setting: String,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The service that it is for; public keys are for all.
    pub(crate) only: Option<&'static str>,
}

/// Uses the keys that are set, or else those of the data directory; answers these.
fn give_keys(settings: &mut Settings, data_dir: &Path) -> Result<Vec<KeyFile>> {
    let auth = &mut settings.auth;
    if !auth.jwks.is_empty() || !auth.signing_key.expose().is_empty() {
        return Ok(Vec::new());
    }
    let keys = Keys::ensure(data_dir)?;
    let made = keys.settings()?;
    (auth.jwks, auth.signing_key) = (made.jwks, made.signing_key);
    let file = |setting: &str, path, only| KeyFile { setting: setting.to_owned(), path, only };
    let mut given = vec![
        file("auth.jwks", keys.jwks, None),
        file("auth.signing_key", keys.signing_key, Some(member::SERVICE.name)),
    ];
    let one_for_all = !auth.service_key.expose().is_empty();
    if !one_for_all && auth.services_jwks.is_empty() && auth.service_keys.is_empty() {
        (auth.services_jwks, auth.service_keys) = (made.services_jwks, made.service_keys);
        given.push(file("auth.services_jwks", keys.services_jwks, None));
        let own = keys.service_keys.into_iter();
        given.extend(
            own.map(|(name, path)| file(&format!("auth.service_keys.{name}"), path, Some(name))),
        );
    }
    Ok(given)
}

fn welcome(address: &Address, services: &str, databases: &str, data_dir: &Path) -> String {
    let (http, logins) = (address.url(), &address.logins);
    let mut lines = vec![
        format!("  shop    {http}"),
        format!("  REST    curl {http}/v1/products"),
        format!("  look    {http}/ops"),
        format!("  gRPC    {services}"),
        format!("  SQL     {databases}"),
        format!("  data    {}", data_dir.display()),
    ];
    for Login { role, email, password } in logins {
        lines.push(format!("  {:<8}{email}  {password}", role.to_lowercase()));
    }
    lines.push("\n  Ctrl-C stops everything; the data stays.\n".to_owned());
    lines.join("\n")
}
