//! `hansang verify`: what must always hold, checked while the shop is open. Reads
//! each service's database and compares in Rust, since services share none; as a
//! role of its own, which can change nothing, and takes no lock that anyone waits
//! for. Databases are not read at one moment, and events are always on their way:
//! what looks wrong is looked at again until it has changed or has stood still.

mod checkout;
mod findings;
mod ledger;
mod logs;
mod members;
mod orders;
mod parts;
mod pending;
mod products;
mod progress;
mod scope;
mod sources;

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use settings::{DatabaseSettings, Secret};
use tokio::time::{Instant, sleep};

pub use self::findings::Finding;
use self::{
    findings::{Rule, Suspicions, Watch},
    scope::{Scope, Watermark},
    sources::Sources,
};
use crate::{
    console::{note, say},
    data_dir::write_private,
    databases::Databases,
    options::ConfigFile,
};

/// How soon what looks wrong is looked at again, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How often everything is looked at when more looks wrong than can be followed.
const ANEW: u32 = 5;
/// The watermark's file in the data directory.
const WATERMARK: &str = "verified.json";

/// What `verify` can be told.
#[derive(Debug, Args)]
#[command(after_help = "\
It can run under traffic. A suspicious row is read again until it has changed, or has stayed the same \
for --patience; only then is it reported.\n\n\
A run without findings stores the positions that the services' logs had when it began; the next run \
reads only the orders, members and products that later events name. Rows that were changed without an \
event, by hand for example, are found only with --all: run it after a restore, and once a week.")]
pub(crate) struct Options {
    /// Data directory of `hansang up`, to find its Postgres
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    /// Read everything, not only what has changed since the last run without findings
    #[arg(long)]
    all: bool,
    /// File for the positions of the last run without findings [default: verified.json in the data
    /// directory, if there is one]
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
    /// How long a suspicious row may stay the same before it is reported; twice that for work in progress
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// An earlier rate of points, in basis points; may be given several times
    #[arg(long, value_name = "BASIS_POINTS")]
    earlier_rate: Vec<u32>,
    #[command(flatten)]
    config: ConfigFile,
}

/// Prints a line for each invariant; fails when one does not hold.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let settings = options.config.load(Vec::new())?;
    let database = Databases::find(&settings.database, &options.data_dir)?;
    let mut rates = vec![mileage::basis_points(&settings)?];
    rates.extend(&options.earlier_rate);
    let sources = Sources::open(&database).await?;
    let file = options.watermark();
    let (next, scope) = (Watermark::now(&sources).await?, options.scope(&sources).await?);
    let patience = Duration::from_secs(options.patience);
    let findings = Verification { sources, rates, patience }.run(&scope).await?;
    for finding in &findings {
        say(finding);
    }
    match findings.iter().filter(|finding| !finding.holds()).count() {
        0 => file.map_or(Ok(()), |file| write_private(&file, &serde_json::to_vec(&next)?)),
        broken => bail!("{broken} of {} invariants do not hold", findings.len()),
    }
}

impl Options {
    /// The file of the watermark, if there is to be one.
    fn watermark(&self) -> Option<PathBuf> {
        let in_data_dir = || self.data_dir.is_dir().then(|| self.data_dir.join(WATERMARK));
        self.since.clone().or_else(in_data_dir)
    }

    async fn scope(&self, sources: &Sources) -> Result<Scope> {
        let file = self.watermark().filter(|_| !self.all);
        let watermark = file.map(|file| read(&file)).transpose()?.flatten();
        let scope = match watermark {
            Some(watermark) => Scope::since(&watermark, sources).await?,
            None => Scope::default(),
        };
        match scope.ids() {
            None => note("everything is read"),
            Some(ids) => note(format_args!(
                "read is what has happened since the last run that found nothing: {} ids",
                ids.len()
            )),
        }
        Ok(scope)
    }
}

/// Reads the watermark of the last run that found nothing, if there was one.
fn read(file: &Path) -> Result<Option<Watermark>> {
    let unreadable = || format!("cannot read {}; delete it to read everything", file.display());
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).with_context(unreadable),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(unreadable),
    }
}

/// Checks all invariants over everything. What looks wrong counts once it has stood still for
/// `patience`, what is under way for twice that; while nothing looks wrong, nothing is waited for.
/// `database_url` is that of a service's own database, with `{service}`. The rate of points is the
/// default one.
pub async fn verify(database_url: &str, patience: Duration) -> Result<Vec<Finding>> {
    let rates = vec![mileage::basis_points(&settings::Settings::default())?];
    let url = Secret::new(database_url);
    let sources = Sources::open(&DatabaseSettings { url, ..DatabaseSettings::default() }).await?;
    Verification { sources, rates, patience }.run(&Scope::default()).await
}

struct Verification {
    sources: Sources,
    /// Points per won, in basis points, now and before.
    rates: Vec<u32>,
    patience: Duration,
}

impl Verification {
    async fn run(&self, scope: &Scope) -> Result<Vec<Finding>> {
        let mut watch = Watch::new(self.patience);
        let (mut certain, mut found) = (Suspicions::default(), Suspicions::default());
        tokio::try_join!(self.look_inside(scope, &mut certain), self.look(scope, &mut found))?;
        watch.begin(certain, Instant::now());
        watch.begin(found, Instant::now());
        self.follow(&mut watch).await?;
        for _ in 0..ANEW {
            if !watch.has_to_begin_anew() {
                break;
            }
            let mut found = Suspicions::default();
            self.look(scope, &mut found).await?;
            watch.begin(found, Instant::now());
            self.follow(&mut watch).await?;
        }
        let rules: [&[Rule]; 8] = [
            progress::RULES,
            pending::RULES,
            ledger::RULES,
            products::RULES,
            orders::RULES,
            members::RULES,
            checkout::RULES,
            parts::RULES,
        ];
        Ok(watch.findings(rules.into_iter().flatten().copied()))
    }

    /// What is so within one database at one moment: to be seen once.
    async fn look_inside(&self, scope: &Scope, found: &mut Suspicions) -> Result<()> {
        let sources = &self.sources;
        ledger::check(sources, scope, found).await?;
        checkout::check_inside(sources, scope, found).await?;
        parts::check_inside(sources, scope, found).await?;
        products::check_stock(sources, scope, found).await?;
        logs::check(sources, scope, found).await?;
        progress::check_logs(sources, scope, found).await?;
        pending::check_keys(sources, found).await
    }

    /// What is only so when nothing is on its way.
    async fn look(&self, scope: &Scope, found: &mut Suspicions) -> Result<()> {
        let sources = &self.sources;
        orders::check(sources, scope, &self.rates, found).await?;
        members::check(sources, scope, found).await?;
        checkout::check(sources, scope, found).await?;
        parts::check(sources, scope, found).await?;
        products::check_catalogue(sources, scope, found).await?;
        progress::check_progress(sources, scope, found).await?;
        pending::check(sources, found).await
    }

    /// Looks at what looks wrong until none of it does any more, or it is reported.
    async fn follow(&self, watch: &mut Watch) -> Result<()> {
        let (mut pause, most) = AGAIN;
        let mut said = 0;
        while watch.len() > 0 {
            sleep(pause.min(self.patience)).await;
            if pause == most && watch.len() != said {
                said = watch.len();
                note(format_args!(
                    "{said} look wrong, and are looked at again until they change or have stood \
                     still for {:?}",
                    self.patience
                ));
            }
            pause = (pause * 2).min(most);
            let first = |service| watch.first_event(service).map(|id| (service, id - 1));
            // Where no event is followed, none is looked at.
            let none = self.sources.services().map(|service| (service, i64::MAX));
            let events: BTreeMap<_, _> =
                none.chain(self.sources.services().filter_map(first)).collect();
            let scope = Scope::these(watch.ids(), events, &self.sources).await?;
            let mut found = Suspicions::default();
            self.look(&scope, &mut found).await?;
            watch.look_again(found, Instant::now());
        }
        Ok(())
    }
}
