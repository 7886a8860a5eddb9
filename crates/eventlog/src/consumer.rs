//! Follows another service's log and applies its events, each exactly once: the
//! effect and the checkpoint are one transaction.
//!
//! One replica runs it at a time, by a lock, so that none does in vain what another
//! has done. It does not rely on that: it proves that it misses nothing (every
//! message says what it covers) and that nobody else applies the same (the
//! checkpoint moves by compare and set). An event that fails for a reason of its own
//! (it cannot be decoded, its policy refuses it or panics) is parked, with all that
//! follow it for the same correlation; the others go on. A partition of which the
//! source has lost what was applied here stops until an operator accepts that.

mod session;

use std::{
    collections::BTreeMap, future::Future, marker::PhantomData, panic::AssertUnwindSafe, sync::Arc,
    time::Duration,
};

use base::{Error, backoff::Backoff};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use pg::{Cause, Database, Lock, Tx, YIELD};
use rpc::Channel;
use schema::Events;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
};
use tracing::Instrument as _;
use uuid::Uuid;

use self::session::Session;
pub(super) use self::session::{arrived, kind};
use super::{
    checkpoint::{self, Owner},
    loss, metrics,
    parked::{self, Parked},
    replay,
    trace::Traced,
    v1::{Opened, SubscribeRequest, frame::Kind},
    wire::Raw,
};

/// Events applied in one transaction, at most, and about how many bytes.
const BATCH: (usize, usize) = (100, 1 << 20);
/// How often an event is tried alone before it is parked.
const TRIES: u32 = 4;
/// How long a checkpoint without an effect may wait.
const LAZY: Duration = Duration::from_secs(1);
/// How often to look whether an operator wants something replayed, or has accepted a loss.
const LOOK: Duration = Duration::from_secs(2);
/// How long a subscription may take to open.
const OPEN: Duration = Duration::from_secs(5);
/// No event is refused for its size here: those of before the limit stand in the log.
const LARGEST: usize = 1 << 30;

/// An event as a policy sees it. `M` is the `<Context>Event` of its source.
#[derive(Clone, Debug)]
pub struct Arrived<M> {
    /// Unique over all services.
    pub event_id: Uuid,
    /// `OrderPlaced`.
    pub kind: String,
    /// What it concerns.
    pub correlation_id: Uuid,
    /// The event that led to it.
    pub causation_id: Option<Uuid>,
    /// What changed.
    pub aggregate_id: Uuid,
    /// Its version after the change.
    pub aggregate_version: i64,
    /// When, by the source's database.
    pub occurred_at: std::time::SystemTime,
    /// Its place in the source's log.
    pub position: i64,
    /// Its partition there.
    pub partition: i32,
    /// Propagated context.
    pub headers: BTreeMap<String, String>,
    /// What it says.
    pub message: M,
}

impl<M> Arrived<M> {
    /// For [`Tx::caused_by`], before acting on this event: what follows from it then says so.
    pub fn cause(&self) -> Cause {
        Cause { causation_id: Some(self.event_id), headers: self.headers.clone() }
    }

    /// The id of the trace that it happened in (W3C Trace Context); empty when there was none.
    pub fn trace_id(&self) -> &str {
        let parent = self.headers.get("traceparent").map_or("", String::as_str);
        parent.split('-').nth(1).unwrap_or_default()
    }
}

/// When something happened elsewhere, do something here.
pub trait Policy<M>: Send + Sync + 'static {
    /// The types of the events that it applies (`OrderEvent::ORDER_PLACED`); none means all.
    const TYPES: &'static [&'static str] = &[];
    /// How long events may wait for others, to be applied in one transaction with them. Read
    /// models that nothing waits for take their time, and cost less by that.
    const LINGER: Duration = Duration::ZERO;

    /// Applies events, in this order, within `tx`, which also moves the checkpoint; never commits.
    /// Calls [`Tx::caused_by`] with [`Arrived::cause`] before it acts on an event.
    ///
    /// An error undoes the whole batch. An outage is waited for; after any other error, or a
    /// panic, the events are applied one by one, and the one at fault is parked in the end.
    fn apply(
        &self,
        tx: &mut Tx,
        batch: &[Arrived<M>],
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Makes the `authorization` header of a subscription.
pub type Bearer = Arc<dyn Fn() -> Option<MetadataValue<Ascii>> + Send + Sync>;

/// Applies a [`Policy`] to another service's events.
pub struct Consumer<M, P> {
    owner: Owner,
    path: String,
    database: Database,
    channel: Channel,
    bearer: Bearer,
    policy: P,
    message: PhantomData<fn() -> M>,
}

impl<M, P> Consumer<M, P>
where
    M: Events,
    P: Policy<M>,
{
    /// A consumer named `group`. Its checkpoints and effects are in `database`.
    pub fn new(
        group: &'static str,
        database: Database,
        channel: Channel,
        bearer: Bearer,
        policy: P,
    ) -> Self {
        let owner = Owner { consumer: group, source: M::SERVICE };
        let path = format!("/{}/Subscribe", M::STREAM);
        Self { owner, path, database, channel, bearer, policy, message: PhantomData }
    }

    /// Applies events until told to stop. Recovers by itself from outages.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        while !stop.is_cancelled() {
            let Err(error) = self.turn(&stop, &mut backoff).await else { continue };
            let Owner { consumer, source } = self.owner;
            if backoff.is_fresh() {
                tracing::warn!(%error, consumer, source, "consumer interrupted, resubscribing");
            }
            stop.run_until_cancelled(sleep(backoff.pause())).await;
        }
    }

    /// Waits until no other replica runs this consumer: the two would undo each other's batches.
    async fn turn(&self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<(), Error> {
        let Owner { consumer, source } = self.owner;
        let name = format!("consumer {consumer} of {source}");
        metrics::active(self.owner, false);
        let Some(lock) = stop.run_until_cancelled(self.database.lock(&name)).await else {
            return Ok(());
        };
        let lock = lock?;
        metrics::active(self.owner, true);
        let ended = self.session(stop, backoff, &lock).await;
        metrics::active(self.owner, false);
        drop(lock);
        if ended.is_err() {
            // Whatever is in this replica's way may not be in another's.
            stop.run_until_cancelled(sleep(YIELD)).await;
        }
        ended
    }

    /// Subscribes and applies what comes. Ends well only when told to stop.
    async fn session(
        &self,
        stop: &CancellationToken,
        backoff: &mut Backoff,
        lock: &Lock,
    ) -> Result<(), Error> {
        let Some(opened) = stop.run_until_cancelled(Box::pin(self.open())).await else {
            return Ok(());
        };
        let (mut session, mut stream) = opened?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flush = session.flush;
            let first = tokio::select! {
                () = stop.cancelled() => return self.apply(&mut session).await,
                _ = look.tick() => {
                    self.look(&mut session, lock).await?;
                    continue;
                }
                () = sleep_until(flush.unwrap_or_else(Instant::now)), if flush.is_some() => {
                    self.apply(&mut session).await?;
                    continue;
                }
                message = stream.next() => message,
            };
            let ended = self.gather(&mut session, first, &mut stream).await.err();
            if let Some(oldest) = session.events.first() {
                metrics::arrived(self.owner, oldest.occurred_at);
                self.apply(&mut session).await?;
            }
            if let Some(error) = ended {
                return Err(error);
            }
            backoff.reset();
        }
    }

    /// Takes in a message and those that have come with it, or come within the policy's time.
    async fn gather(
        &self,
        session: &mut Session<M>,
        first: Option<Result<Bytes, Status>>,
        stream: &mut Streaming<Bytes>,
    ) -> Result<(), Error> {
        session.take(first)?;
        let until = Instant::now() + P::LINGER;
        while session.events.len() < BATCH.0 && session.bytes < BATCH.1 {
            let next = match stream.next().now_or_never() {
                Some(message) => message,
                None if P::LINGER.is_zero() || session.events.is_empty() => break,
                None => match timeout_at(until, stream.next()).await {
                    Ok(message) => message,
                    Err(_) => break,
                },
            };
            session.take(next)?;
        }
        Ok(())
    }

    /// Looks what else there is to do, and whether this replica may still do it.
    async fn look(&self, session: &mut Session<M>, lock: &Lock) -> Result<(), Error> {
        if !lock.is_held() {
            let detail = "the database connection that held this consumer's lock was lost";
            return Err(Error::unavailable("LOCK_LOST", detail));
        }
        if session.lost > 0 && loss::has_accepted(&self.database, self.owner).await? {
            return Err(Error::unavailable("LOSS_ACCEPTED", "a lost part of the log was accepted"));
        }
        // Only this replica parks events, so nothing is parked but what it knows of.
        if session.parked > 0 {
            replay::replay(&self.database, self.owner, &self.policy).await?;
            session.parked = parked::count(&self.database, self.owner).await?;
            metrics::parked(self.owner, session.parked);
        }
        Ok(())
    }

    async fn open(&self) -> Result<(Session<M>, Streaming<Bytes>), Error> {
        loss::resume_accepted(&self.database, self.owner).await?;
        let stored = checkpoint::load(&self.database, self.owner).await?;
        let parked = parked::count(&self.database, self.owner).await?;
        metrics::parked(self.owner, parked);
        let seen = (0_i32..).zip(*stored).filter(|(_, mark)| mark.position > 0);
        let mut request = Request::new(SubscribeRequest {
            group: self.owner.consumer.to_owned(),
            cursors: seen.map(|(partition, mark)| mark.cursor(partition)).collect(),
            types: P::TYPES.iter().map(ToString::to_string).collect(),
            incarnation: String::new(),
        });
        if let Some(bearer) = (self.bearer)() {
            request.metadata_mut().insert("authorization", bearer);
        }
        let path = self.path.parse().map_err(|_| Error::internal("path of the subscription"))?;
        let mut grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(LARGEST);
        let subscribe = async {
            let mut stream = grpc.server_streaming(request, path, Raw::new()).await?.into_inner();
            Ok::<_, Error>((stream.next().await, stream))
        };
        let slow = |_| Error::unavailable("SOURCE_SLOW", "the subscription did not open in time");
        let (first, stream) = timeout(OPEN, subscribe).await.map_err(slow)??;
        let Some(Kind::Opened(opened)) = kind(&session::received(first)?)? else {
            return Err(Error::internal("the stream does not begin with Opened"));
        };
        metrics::head(self.owner, opened.head);
        let mut session = Session::new(stored, parked);
        self.take_over(&mut session, &opened).await?;
        Ok((session, stream))
    }

    /// Takes in what the source makes of the checkpoints.
    async fn take_over(&self, session: &mut Session<M>, opened: &Opened) -> Result<(), Error> {
        let Owner { consumer, source } = self.owner;
        if !opened.resumed.is_empty() {
            let marks = session.resumed(&opened.resumed)?;
            let partitions = opened.resumed.len();
            tracing::warn!(
                consumer,
                source,
                partitions,
                "the source has lost events that were not applied here; resuming before them"
            );
            let mut tx = self.database.begin().await?;
            checkpoint::advance(&mut tx, self.owner, &session.stored, &marks).await?;
            tx.commit().await?;
            session.seen.clone_from(&marks);
            session.stored = marks;
        }
        session.lost = opened.lost.len();
        metrics::lost(self.owner, session.lost);
        for lost in &opened.lost {
            let mark = session.stored[session::place(lost.partition)?];
            loss::note(&self.database, self.owner, mark, lost).await?;
            let (partition, position, common) = (lost.partition, mark.applied, lost.common);
            let event_id = mark.applied_id.unwrap_or_default();
            tracing::error!(
                consumer, source, partition, position, %event_id, common,
                "partition stopped: the source has lost an event that was applied here; compare \
                 the two, then run `hansang log accept`"
            );
        }
        Ok(())
    }

    /// Applies what has arrived.
    async fn apply(&self, session: &mut Session<M>) -> Result<(), Error> {
        session.flush = None;
        if session.seen == session.stored {
            return Ok(());
        }
        let traced = Traced::begin(self.owner, &mut session.events);
        self.apply_somehow(session).instrument(traced.span()).await?;
        session.clear();
        let furthest = session.stored.iter().map(|mark| mark.position).max();
        metrics::applied(self.owner, furthest.unwrap_or_default());
        Ok(())
    }

    /// All at once if it can be.
    async fn apply_somehow(&self, session: &mut Session<M>) -> Result<(), Error> {
        let begun = Instant::now();
        match self.apply_all(session).await {
            Ok(true) => session.stored.clone_from(&session.seen),
            Ok(false) => self.apply_each(session).await?,
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, consumer = self.owner.consumer, "batch failed, applying its events one by one");
                self.apply_each(session).await?;
            }
        }
        let occurred = session.events.iter().map(|event| event.occurred_at);
        metrics::batch(self.owner, begun.elapsed(), occurred);
        Ok(())
    }

    /// False when events have to be told apart.
    async fn apply_all(&self, session: &Session<M>) -> Result<bool, Error> {
        if session.messages.iter().any(|(_, fault)| fault.is_some()) {
            return Ok(false);
        }
        let mut tx = self.database.begin().await?;
        checkpoint::advance(&mut tx, self.owner, &session.stored, &session.seen).await?;
        if session.parked > 0 {
            let ids: Vec<_> = session.events.iter().map(|event| event.correlation_id).collect();
            if parked::any(&mut tx, self.owner, &ids).await? {
                return Ok(false);
            }
        }
        if !session.events.is_empty() {
            apply(&self.policy, &mut tx, &session.events).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    async fn apply_each(&self, session: &mut Session<M>) -> Result<(), Error> {
        for index in 0..session.events.len() {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
            let mut tries = if session.messages[index].1.is_some() { TRIES } else { 1 };
            while let Err(error) = self.apply_one(session, index, None).await {
                if error.is_outage() {
                    return Err(error);
                }
                if tries >= TRIES {
                    self.apply_one(session, index, Some(error)).await?;
                    break;
                }
                tries += 1;
                sleep(backoff.pause()).await;
            }
        }
        Ok(())
    }

    /// Applies one event, or parks it: for this `fault`, or because of one before it.
    async fn apply_one(
        &self,
        session: &mut Session<M>,
        index: usize,
        fault: Option<Error>,
    ) -> Result<(), Error> {
        let events = &session.events[index..=index];
        let (event, (message, unreadable)) = (&events[0], &session.messages[index]);
        let to = session.after(event)?;
        let mut tx = self.database.begin().await?;
        checkpoint::advance(&mut tx, self.owner, &session.stored, &to).await?;
        let behind =
            session.parked > 0 && parked::any(&mut tx, self.owner, &[event.correlation_id]).await?;
        if behind || fault.is_some() {
            let error = fault.as_ref().map(ToString::to_string);
            self.log_parked(event, error.as_deref());
            let (position, correlation_id) = (event.position, event.correlation_id);
            let aside = Parked { position, correlation_id, kind: &event.kind, message, error };
            parked::park(&mut tx, self.owner, &aside).await?;
            session.parked += 1;
            metrics::parked(self.owner, session.parked);
        } else if let Some(error) = unreadable {
            return Err(error.clone());
        } else {
            apply(&self.policy, &mut tx, events).await?;
        }
        tx.commit().await?;
        session.stored = to;
        Ok(())
    }

    fn log_parked(&self, event: &Arrived<M>, error: Option<&str>) {
        let Owner { consumer, source } = self.owner;
        let (event_id, kind, position) = (event.event_id, &event.kind, event.position);
        let next = match error {
            Some(_) => "event parked: it failed; replay or discard it once the reason is known",
            None => "event parked: an earlier one of its correlation is",
        };
        tracing::error!(consumer, source, %event_id, kind, position, error, "{next}");
    }
}

/// Applies events by a policy. A panic is an error of the events, not of the process.
pub(super) async fn apply<M, P: Policy<M>>(
    policy: &P,
    tx: &mut Tx,
    events: &[Arrived<M>],
) -> Result<(), Error> {
    let applied = AssertUnwindSafe(policy.apply(tx, events)).catch_unwind().await;
    applied.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(Error::internal(format!("the policy panicked: {said}")))
    })
}
