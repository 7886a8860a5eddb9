//! `hansang verify`: what must always hold, checked over a house that is up. Waits
//! until nothing moves any more, then reads each service's database and compares
//! in Rust: services share no database. Reads alone, as a role of its own, and
//! takes no lock that anyone waits for.

mod events;
mod ledger;
mod members;
mod mypage;
mod orders;
mod rest;
mod sources;
mod stock;

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use clap::Args;
use tokio::time::{Instant, sleep};

use self::{rest::Look, sources::Sources};
use crate::{cli::ConfigFile, console::say, databases::Databases};

/// How often to look whether everything is at rest.
const POLL: Duration = Duration::from_millis(100);
/// Offenders that are named; the others are counted.
const NAMED: usize = 3;

/// What `verify` can be told.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What `hansang up` was given: its Postgres is found there
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    /// How long to wait until nothing moves any more
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    within: u64,
    #[command(flatten)]
    config: ConfigFile,
}

/// One invariant, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What must hold.
    pub invariant: &'static str,
    /// Where it does not; empty when it holds.
    pub offences: Vec<String>,
}

impl Finding {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.offences.is_empty()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, offences } = self;
        if self.holds() {
            return write!(f, "✓ {invariant}");
        }
        let named = &offences[..offences.len().min(NAMED)];
        write!(f, "✗ {invariant}: {}", named.join("; "))?;
        match offences.len() - named.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Prints a line for each invariant; fails when one does not hold.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let settings = options.config.load(Vec::new())?;
    let url = Databases::find(&settings.database, &options.data_dir)?;
    let findings = verify(&url, Duration::from_secs(options.within)).await?;
    for finding in &findings {
        say(finding);
    }
    match findings.iter().filter(|finding| !finding.holds()).count() {
        0 => Ok(()),
        broken => bail!("{broken} of {} invariants do not hold", findings.len()),
    }
}

/// Checks all invariants once nothing moves any more; after `within`, as things are then, with a
/// finding that says what moves. `database_url` is that of a service's own database, with `{service}`.
pub async fn verify(database_url: &str, within: Duration) -> Result<Vec<Finding>> {
    let sources = Sources::open(database_url).await?;
    let deadline = Instant::now() + within;
    let mut before = Look::take(&sources).await?;
    loop {
        while !before.is_at_rest() && Instant::now() < deadline {
            sleep(POLL).await;
            before = Look::take(&sources).await?;
        }
        let mut findings = ledger::check(&sources).await?;
        findings.extend(stock::check(&sources).await?);
        findings.extend(orders::check(&sources).await?);
        findings.extend(members::check(&sources).await?);
        findings.extend(mypage::check(&sources).await?);
        findings.extend(events::check(&sources).await?);
        // Databases are read one after the other: what was found counts if nothing happened meanwhile.
        let after = Look::take(&sources).await?;
        if after == before || Instant::now() >= deadline {
            findings.splice(..0, after.findings());
            return Ok(findings);
        }
        before = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_that_names_the_first_offenders() {
        let mut finding = Finding { invariant: "water is wet", offences: Vec::new() };
        assert_eq!(finding.to_string(), "✓ water is wet");
        finding.offences = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(finding.to_string(), "✗ water is wet: a; b; c; and 2 more");
    }
}
