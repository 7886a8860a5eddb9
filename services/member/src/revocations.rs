//! Whose tokens are void though they may not have expired: of members who have
//! withdrawn, and those from before a role was taken back. All services watch this,
//! and refuse those tokens; whose they are is read from the database once for all who
//! watch, whenever the service's log has something new, so that every replica tells
//! what happened at any.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::Error;
use contracts::auth::v1::{Revocation, WatchRequest, WatchResponse, revocations_server};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use pg::Database;
use server::Incoming;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::{
    domain::MemberId,
    store::{self, Revoked},
};

/// How often to look though the log says nothing: after the database was away, for one.
const TICK: Duration = Duration::from_secs(5);
/// How much longer than a token one is remembered: clocks differ, and who withdraws may be signing
/// in at the same time.
const MARGIN: Duration = Duration::from_mins(1);

/// How many are told in one message: gRPC's clients take 4 MiB.
const AT_ONCE: usize = 1_000;

/// What of each is void.
type Known = Arc<BTreeMap<MemberId, Revoked>>;

/// Tells whose tokens are void.
#[derive(Clone)]
pub(crate) struct Revocations {
    database: Database,
    lifetime: Duration,
    known: watch::Sender<Known>,
    stop: CancellationToken,
}

impl Revocations {
    /// Tokens are good for `token_ttl`. Somebody has to [`run`](Self::run) it.
    pub(crate) fn new(database: Database, token_ttl: Duration, stop: CancellationToken) -> Self {
        let known = watch::Sender::new(Known::default());
        Self { database, lifetime: token_ttl + MARGIN, known, stop }
    }

    /// Looks whose are, until told to stop.
    pub(crate) async fn run(self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut away, mut log_head) = (false, self.database.log_head());
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
                // The sender lives as long as the database does.
                _ = log_head.changed() => {}
            }
            let looked = self.look(SystemTime::now()).await;
            if let Err(error) = &looked
                && !away
            {
                tracing::warn!(%error, "revocations: database unavailable, retrying");
            }
            away = looked.is_err();
        }
    }

    async fn look(&self, now: SystemTime) -> Result<(), Error> {
        let mut known = Known::clone(&self.known.borrow());
        let since = now - self.lifetime;
        let more = store::revoked(&mut self.database.read().await?, since, &known).await?;
        if !more.is_empty() {
            let members = Arc::make_mut(&mut known);
            members.retain(|_, revoked| revoked.at > since);
            members.extend(more);
            self.known.send_replace(known);
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl revocations_server::Revocations for Revocations {
    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<BoxStream<'static, Result<WatchResponse, Status>>>, Status> {
        Incoming::granted(request)?;
        let watcher = Watcher {
            known: self.known.subscribe(),
            told: BTreeMap::new(),
            lifetime: self.lifetime,
            stop: self.stop.clone(),
        };
        let messages = stream::unfold(watcher, |mut watcher| async {
            let message = watcher.next().await?;
            Some((Ok(message), watcher))
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// One open stream.
struct Watcher {
    known: watch::Receiver<Known>,
    told: BTreeMap<MemberId, Revoked>,
    lifetime: Duration,
    stop: CancellationToken,
}

impl Watcher {
    /// What has not been told yet, as soon as there is something; none when the stream is to end.
    async fn next(&mut self) -> Option<WatchResponse> {
        loop {
            let known = Known::clone(&self.known.borrow_and_update());
            self.told.retain(|id, _| known.contains_key(id));
            let new = known.iter().filter(|(id, revoked)| self.told.get(id) != Some(revoked));
            let new: Vec<_> = new.take(AT_ONCE).map(|(id, revoked)| (*id, *revoked)).collect();
            if !new.is_empty() {
                let revocation = |(id, revoked): &_| self.revocation(*id, *revoked);
                let revocations = new.iter().map(revocation).collect();
                self.told.extend(new);
                return Some(WatchResponse { revocations });
            }
            self.stop.run_until_cancelled(self.known.changed()).await?.ok()?;
        }
    }

    fn revocation(&self, member: MemberId, revoked: Revoked) -> Revocation {
        let Revoked { at, all } = revoked;
        Revocation {
            subject: member.to_string(),
            revoke_time: Some(at.into()),
            expire_time: Some((at + self.lifetime).into()),
            issued_by: (!all).then(|| at.into()),
        }
    }
}
