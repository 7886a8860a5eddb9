//! `up --split`: each service and the gateway a process of its own, started and
//! watched from here. One that ends is restarted; all end with this process,
//! whichever way that ends. Runs no service itself.

mod faults;
mod part;

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use settings::{Ops, Settings};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub(crate) use self::part::Surroundings;
use self::{
    faults::Faults,
    part::{Ended, Part, Recipe},
};
use crate::{
    healthcheck,
    processes::Processes,
    run::{GATEWAY, Listeners, SERVICES},
};

/// How soon a process is restarted, at first and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// What has run for so long did not fail at its start.
const STEADY: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The processes of a deployment.
#[derive(Debug)]
pub(crate) struct Split {
    watches: JoinSet<Result<()>>,
    /// Where somebody at this machine may break something.
    faults: Option<Faults>,
    addresses: BTreeMap<&'static str, SocketAddr>,
}

/// What all watches share.
#[derive(Debug)]
struct Watch {
    recipe: Recipe,
    processes: Processes,
    /// Cancelled once everything is up. Until then, what gives up by itself ends all; from then on
    /// it is restarted, as what was killed always is.
    up: CancellationToken,
    /// How long a process may take to stop.
    patience: Duration,
}

impl Split {
    /// Starts all processes; answers once they are ready, with an error when one does not get
    /// there. The gateway is the last: by then `seeded` is done, on the services' tables, and
    /// `listeners` holds its ports until then. Dropped, it kills what it started.
    pub(crate) async fn start(
        settings: &Settings,
        surroundings: Surroundings<'_>,
        listeners: Listeners,
        processes: Processes,
        stop: &CancellationToken,
        seeded: impl Future<Output = Result<()>>,
    ) -> Result<Self> {
        let http = listeners.http()?.context("the gateway listens")?;
        let (data_dir, database) = (surroundings.data_dir, settings.database.clone());
        let breakable = settings.http.ops == Ops::Open;
        let addresses = addresses(&listeners)?;
        let watch = Arc::new(Watch {
            recipe: Recipe::new(settings, surroundings, &addresses)?,
            processes,
            up: CancellationToken::new(),
            patience: settings.deadline.drain()
                + settings.deadline.shutdown()
                + Duration::from_secs(2),
        });
        let mut watches = JoinSet::new();
        // Where the directory's path is too long for a socket, there are no faults.
        let faults = breakable.then(|| Faults::listen(data_dir, Arc::clone(&watch), database));
        let faults =
            faults.and_then(|faults| faults.inspect_err(|it| eprintln!("hansang: {it:#}")).ok());
        let behind = CancellationToken::new();
        let services = || addresses.iter().filter(|(name, _)| **name != GATEWAY);
        for (name, grpc) in services().map(|(name, grpc)| (*name, *grpc)) {
            let (watch, behind) = (Arc::clone(&watch), behind.clone());
            let part = Part { name, grpc, listen: (grpc, None) };
            watches.spawn(async move { watch.keep(part, behind).await });
        }
        let ready = async {
            all_ready(services().map(|(_, grpc)| grpc)).await;
            seeded.await
        };
        let mut failed = first(ready, &mut watches).await;
        if failed.is_ok() {
            let grpc = listeners.grpc()?;
            drop(listeners);
            let with_port = |ip, port: SocketAddr| SocketAddr::new(ip, port.port());
            let listen = (
                with_port(settings.grpc.listen.ip(), grpc),
                Some(with_port(settings.http.listen.ip(), http)),
            );
            let (watch, stop) = (Arc::clone(&watch), stop.clone());
            watches.spawn(async move {
                let done = watch.keep(Part { name: GATEWAY, grpc, listen }, stop).await;
                // Only now: what it still had under way needed the others.
                behind.cancel();
                done
            });
            let ready = async {
                all_ready([&grpc].into_iter()).await;
                Ok(())
            };
            failed = first(ready, &mut watches).await;
        }
        if failed.is_err() {
            // Before Postgres, whose end would have them all complain.
            watches.shutdown().await;
        }
        watch.up.cancel();
        failed?;
        Ok(Self { watches, faults, addresses })
    }

    /// Where the parts answer, for people.
    pub(crate) fn for_people(&self) -> String {
        let mut text = "a process each; grpcurl -plaintext ADDRESS list".to_owned();
        for (name, grpc) in &self.addresses {
            let _ = write!(text, "\n          {grpc:<16} {name}");
        }
        text
    }

    /// Answers when it was told to stop, and all processes have.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut done = Ok(());
        let faults =
            self.faults.take().map(|faults| AbortOnDropHandle::new(tokio::spawn(faults.run())));
        while let Some(ended) = self.watches.join_next().await {
            done = done.and(ended.map_err(anyhow::Error::from).flatten());
        }
        drop(faults);
        done
    }
}

impl Watch {
    /// Keeps a part running until told to stop.
    async fn keep(&self, part: Part, stop: CancellationToken) -> Result<()> {
        let mut failures = 0;
        while !stop.is_cancelled() {
            let born = Instant::now();
            let ended = match self.recipe.start(&part) {
                Ok(mut process) => {
                    note(self.processes.started([part.name], process.pid, part.grpc));
                    let ended = stop.run_until_cancelled(process.ended()).await;
                    let Some(ended) = ended else {
                        process.stop(self.patience).await;
                        note(self.processes.ended(part.name));
                        break;
                    };
                    note(self.processes.ended(part.name));
                    ended
                }
                Err(error) => Ended { how: error, gave_up: true },
            };
            if ended.gave_up && !self.up.is_cancelled() {
                return Err(ended.how);
            }
            failures = if born.elapsed() < STEADY { failures + 1 } else { 1 };
            let pause = pause(failures);
            eprintln!("hansang: {:#}; restarting it in {:.1} s", ended.how, pause.as_secs_f64());
            stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }
}

/// The deployment goes on when the file cannot be true.
fn note(written: Result<()>) {
    if let Err(error) = written {
        eprintln!("hansang: {error:#}");
    }
}

/// Where each part answers: the gateway's process where it was said, the others where there is room.
fn addresses(listeners: &Listeners) -> Result<BTreeMap<&'static str, SocketAddr>> {
    let mut addresses = BTreeMap::from([(GATEWAY, listeners.grpc()?)]);
    let mut held = Vec::new();
    for service in SERVICES {
        let (address, listener) = free_address()?;
        addresses.insert(service.name, address);
        held.push(listener);
    }
    Ok(addresses)
}

/// A port that stays free while its process is dead: outside the range that the system gives to
/// outgoing connections, any of which could take it meanwhile.
fn free_address() -> Result<(SocketAddr, std::net::TcpListener)> {
    const TRIES: usize = 100;
    for _ in 0..TRIES {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(16_000..32_000)));
        if let Ok(listener) = std::net::TcpListener::bind(address) {
            return Ok((address, listener));
        }
    }
    Err(anyhow!("no free port for a service between 16000 and 32000"))
}

/// Waits until something is done, or a watch has ended before.
async fn first(
    done: impl Future<Output = Result<()>>,
    watches: &mut JoinSet<Result<()>>,
) -> Result<()> {
    tokio::select! {
        done = done => done,
        Some(ended) = watches.join_next() => ended.map_err(anyhow::Error::from).flatten(),
    }
}

async fn all_ready(addresses: impl Iterator<Item = &SocketAddr>) {
    for address in addresses {
        while !healthcheck::is_ready(*address).await {
            sleep(POLL).await;
        }
    }
}

/// How long to wait after so many failures in a row, the first being 1.
fn pause(failures: u32) -> Duration {
    AGAIN.0.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(AGAIN.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_failing_comes_again_more_and_more_slowly_but_always() {
        let pauses = [1, 2, 3, 6, 7, 1_000].map(pause).map(|pause| pause.as_millis());
        assert_eq!(pauses, [100, 200, 400, 3_200, 5_000, 5_000]);
    }
}
