//! Follows another service's log and applies its events, each exactly once: the
//! effect and the checkpoint are one transaction.
//!
//! One replica runs it at a time, by a lock, so that none does in vain what another
//! has done. It does not rely on that: it proves that it misses nothing (every
//! message says what it covers) and that nobody else applies the same (the
//! checkpoint moves by compare and set). An event that fails for a reason of its own is set aside, with all that
//! follow it for the same correlation; the others go on.

use std::{collections::BTreeMap, future::Future, marker::PhantomData, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use prost::Message;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::{Ascii, MetadataValue},
    server::NamedService,
};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    checkpoint::{self, Owner, Parked, Positions},
    gauge, replay,
    trace::Traced,
    v1::{Cursor, Envelope, Span, SubscribeRequest, frame::Kind},
    wire::{Framed, Raw},
};
use crate::{
    Cause, Database, Error, Tx, backoff::Backoff, database::Lock, error, id, rpc::Channel,
};

/// Events applied in one transaction, at most.
const BATCH: usize = 100;
/// How often an event is tried alone before it is set aside.
const TRIES: u32 = 4;
/// How long a checkpoint without an effect may wait.
const LAZY: Duration = Duration::from_secs(1);
/// How often to look whether something set aside is wanted again.
const REPLAY: Duration = Duration::from_secs(2);
/// How long a subscription may take to open.
const OPEN: Duration = Duration::from_secs(5);
/// How long a consumer of another log waits before it looks again.
const STOPPED: Duration = Duration::from_secs(30);

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
    /// Applies events, in this order, within `tx`, which also moves the checkpoint; never commits.
    /// Calls [`Tx::caused_by`] with [`Arrived::cause`] before it acts on an event.
    ///
    /// An error undoes the whole batch. An outage is waited for; after any other error the events
    /// come again one by one, and the one at fault is set aside in the end.
    fn apply(
        &self,
        tx: &mut Tx,
        batch: &[Arrived<M>],
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The log that a consumer follows.
#[derive(Clone, Debug)]
pub struct Source {
    /// The service that it belongs to.
    pub service: &'static str,
    /// `/hansang.order.v1.OrderEvents/Subscribe`.
    pub path: String,
}

impl Source {
    /// The events that `service` publishes as `N`.
    pub fn of<N: NamedService>(service: &'static str) -> Self {
        Self { service, path: format!("/{}/Subscribe", N::NAME) }
    }
}

/// Makes the `authorization` header of a subscription.
pub type Bearer = Arc<dyn Fn() -> Option<MetadataValue<Ascii>> + Send + Sync>;

/// Applies a [`Policy`] to the events of a [`Source`].
pub struct Consumer<M, P> {
    owner: Owner,
    path: String,
    types: &'static [&'static str],
    database: Database,
    channel: Channel,
    bearer: Bearer,
    policy: P,
    message: PhantomData<fn() -> M>,
}

/// One subscription: what is stored, and what has arrived beyond that.
struct Session<M> {
    log: Uuid,
    stored: Positions,
    seen: Positions,
    events: Vec<Arrived<M>>,
    /// Beside each event, its message and whether it can be read.
    messages: Vec<(Bytes, Option<Error>)>,
    /// When to store what has no effect.
    flush: Option<Instant>,
}

impl<M, P> Consumer<M, P>
where
    M: Message + Default + 'static,
    P: Policy<M>,
{
    /// A consumer named `group`, of events of these types, or of all when there are none. Its
    /// checkpoints and effects are in `database`.
    pub fn new(
        group: &'static str,
        source: Source,
        types: &'static [&'static str],
        database: Database,
        channel: Channel,
        bearer: Bearer,
        policy: P,
    ) -> Self {
        let owner = Owner { consumer: group, source: source.service };
        let (path, message) = (source.path, PhantomData);
        Self { owner, path, types, database, channel, bearer, policy, message }
    }

    /// Applies events until told to stop. Comes back by itself after outages; does nothing, and
    /// says so, as long as the source's log is another one than its checkpoints belong to.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        while !stop.is_cancelled() {
            let Err(error) = self.turn(&stop, &mut backoff).await else { continue };
            let Owner { consumer, source } = self.owner;
            let foreign = error.kind() == error::Kind::Conflict;
            if foreign {
                tracing::error!(%error, consumer, source, "stopped: an operator has to compare the databases");
            } else if backoff.is_fresh() {
                tracing::warn!(%error, consumer, source, "the consumer comes again");
            }
            let pause = backoff.pause();
            stop.run_until_cancelled(sleep(if foreign { STOPPED } else { pause })).await;
        }
    }

    /// Waits until no other replica runs this consumer: the two would undo each other's batches.
    async fn turn(&self, stop: &CancellationToken, backoff: &mut Backoff) -> Result<(), Error> {
        let Owner { consumer, source } = self.owner;
        let name = format!("consumer {consumer} of {source}");
        gauge::active(self.owner, false);
        let Some(lock) = stop.run_until_cancelled(self.database.lock(&name)).await else {
            return Ok(());
        };
        let lock = lock?;
        gauge::active(self.owner, true);
        let ended = self.session(stop, backoff, &lock).await;
        gauge::active(self.owner, false);
        ended
    }

    /// Subscribes and applies what comes. Ends well only when told to stop.
    async fn session(
        &self,
        stop: &CancellationToken,
        backoff: &mut Backoff,
        lock: &Lock,
    ) -> Result<(), Error> {
        let Some(opened) = stop.run_until_cancelled(self.open()).await else { return Ok(()) };
        let (mut session, mut stream) = opened?;
        let mut look = interval(REPLAY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let flush = session.flush;
            let first = tokio::select! {
                () = stop.cancelled() => return self.apply(&mut session).await,
                _ = look.tick() => {
                    if !lock.is_held() {
                        return Err(Error::unavailable("LOCK_LOST", "with its connection"));
                    }
                    replay::replay(&self.database, self.owner, &self.policy).await?;
                    continue;
                }
                () = sleep_until(flush.unwrap_or_else(Instant::now)), if flush.is_some() => {
                    self.apply(&mut session).await?;
                    continue;
                }
                message = stream.next() => message,
            };
            let mut ended = session.take(first).err();
            while ended.is_none() && session.events.len() < BATCH {
                // What is there already.
                let Some(message) = stream.next().now_or_never() else { break };
                ended = session.take(message).err();
            }
            if let Some(oldest) = session.events.first() {
                gauge::arrived(self.owner, oldest.occurred_at);
                self.apply(&mut session).await?;
            }
            if let Some(error) = ended {
                return Err(error);
            }
            backoff.reset();
        }
    }

    async fn open(&self) -> Result<(Session<M>, Streaming<Bytes>), Error> {
        let stored = checkpoint::load(&self.database, self.owner).await?;
        gauge::parked(self.owner, stored.parked);
        let cursors = (0_i32..).zip(stored.positions).filter(|(_, position)| *position > 0);
        let mut request = Request::new(SubscribeRequest {
            group: self.owner.consumer.to_owned(),
            cursors: cursors.map(|(partition, position)| Cursor { partition, position }).collect(),
            types: self.types.iter().map(ToString::to_string).collect(),
            incarnation: stored.incarnation.map_or_else(String::new, |log| log.to_string()),
        });
        if let Some(bearer) = (self.bearer)() {
            request.metadata_mut().insert("authorization", bearer);
        }
        let path = self.path.parse().map_err(|_| Error::internal("path of the subscription"))?;
        let mut grpc = Grpc::new(self.channel.clone());
        let subscribe = async {
            let mut stream = grpc.server_streaming(request, path, Raw::new()).await?.into_inner();
            Ok::<_, Error>((stream.next().await, stream))
        };
        let slow = |_| Error::unavailable("SOURCE_SLOW", "the subscription did not open in time");
        let (first, stream) = timeout(OPEN, subscribe).await.map_err(slow)??;
        let Some(Kind::Opened(opened)) = kind(&received(first)?)? else {
            return Err(Error::internal("the stream does not begin with Opened"));
        };
        gauge::head(self.owner, opened.head);
        let log = id::parse("incarnation", &opened.incarnation)?;
        if stored.incarnation.is_none() {
            checkpoint::adopt(&self.database, self.owner, log).await?;
        }
        let session = Session {
            log,
            stored: stored.positions,
            seen: stored.positions,
            events: Vec::new(),
            messages: Vec::new(),
            flush: None,
        };
        Ok((session, stream))
    }

    /// Applies what has arrived.
    async fn apply(&self, session: &mut Session<M>) -> Result<(), Error> {
        session.flush = None;
        if session.seen == session.stored {
            return Ok(());
        }
        let traced = Traced::begin(self.owner, &mut session.events);
        self.apply_somehow(session).instrument(traced.span()).await?;
        session.events.clear();
        session.messages.clear();
        gauge::applied(self.owner, session.stored.iter().copied().max().unwrap_or_default());
        Ok(())
    }

    /// All at once if it can be.
    async fn apply_somehow(&self, session: &mut Session<M>) -> Result<(), Error> {
        let begun = Instant::now();
        match self.apply_all(session).await {
            Ok(true) => session.stored = session.seen,
            Ok(false) => self.apply_each(session).await?,
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, consumer = self.owner.consumer, "one by one after an error");
                self.apply_each(session).await?;
            }
        }
        let occurred = session.events.iter().map(|event| event.occurred_at);
        gauge::batch(self.owner, begun.elapsed(), occurred);
        Ok(())
    }

    /// False when events have to be told apart.
    async fn apply_all(&self, session: &Session<M>) -> Result<bool, Error> {
        if session.messages.iter().any(|(_, fault)| fault.is_some()) {
            return Ok(false);
        }
        let mut tx = self.database.begin().await?;
        let (from, to) = (&session.stored, &session.seen);
        if checkpoint::advance(&mut tx, self.owner, session.log, from, to).await? {
            let ids: Vec<_> = session.events.iter().map(|event| event.correlation_id).collect();
            if !checkpoint::parked(&mut tx, self.owner, &ids).await?.is_empty() {
                return Ok(false);
            }
        }
        if !session.events.is_empty() {
            self.policy.apply(&mut tx, &session.events).await?;
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

    /// Applies one event, or sets it aside: for this `fault`, or because of one before it.
    async fn apply_one(
        &self,
        session: &mut Session<M>,
        index: usize,
        fault: Option<Error>,
    ) -> Result<(), Error> {
        let events = &session.events[index..=index];
        let (event, (message, unreadable)) = (&events[0], &session.messages[index]);
        let mut to = session.stored;
        to[place(event.partition)?] = event.position;
        let mut tx = self.database.begin().await?;
        let behind = checkpoint::advance(&mut tx, self.owner, session.log, &session.stored, &to)
            .await?
            && !checkpoint::parked(&mut tx, self.owner, &[event.correlation_id]).await?.is_empty();
        if behind || fault.is_some() {
            let Owner { consumer, source } = self.owner;
            let error = fault.as_ref().map(ToString::to_string);
            let event_id = event.event_id;
            tracing::error!(consumer, source, %event_id, event.kind, event.position, error, "set aside");
            let parked = Parked {
                position: event.position,
                correlation_id: event.correlation_id,
                kind: &event.kind,
                message,
                error,
            };
            checkpoint::park(&mut tx, self.owner, &parked).await?;
            gauge::one_more_parked(self.owner);
        } else if let Some(error) = unreadable {
            return Err(error.clone());
        } else {
            self.policy.apply(&mut tx, events).await?;
        }
        tx.commit().await?;
        session.stored = to;
        Ok(())
    }
}

impl<M: Message + Default> Session<M> {
    /// Takes a message in.
    fn take(&mut self, message: Option<Result<Bytes, Status>>) -> Result<(), Error> {
        let message = received(message)?;
        match kind(&message)? {
            Some(Kind::Event(envelope)) => {
                let span = envelope.span.unwrap_or_default();
                let (decoded, fault) = match M::decode(message.clone()) {
                    Ok(decoded) => (decoded, None),
                    Err(error) => (M::default(), Some(Error::internal(error.to_string()))),
                };
                let arrived = arrived(span, envelope, decoded)?;
                self.cover(span)?;
                self.events.push(arrived);
                self.messages.push((message, fault));
            }
            Some(Kind::Progress(progress)) => {
                progress.spans.into_iter().try_for_each(|span| self.cover(span))?;
                self.flush.get_or_insert_with(|| Instant::now() + LAZY);
            }
            Some(Kind::CaughtUp(_) | Kind::Opened(_)) | None => {}
        }
        Ok(())
    }

    /// Notes that nothing is missing up to the span's end.
    fn cover(&mut self, span: Span) -> Result<(), Error> {
        let seen = &mut self.seen[place(span.partition)?];
        if *seen != span.covers_after || span.position <= span.covers_after {
            return Err(Error::internal(format!("gap: after {seen} comes {span:?}")));
        }
        *seen = span.position;
        Ok(())
    }
}

/// A message of the stream; its end is an outage, as the stream itself never ends.
fn received(message: Option<Result<Bytes, Status>>) -> Result<Bytes, Error> {
    match message {
        Some(message) => Ok(message?),
        None => Err(Error::unavailable("SOURCE_ENDED", "the source ended the stream")),
    }
}

pub(super) fn kind(message: &Bytes) -> Result<Option<Kind>, Error> {
    let framed = Framed::decode(message.clone()).map_err(|e| Error::internal(e.to_string()))?;
    Ok(framed.frame.and_then(|frame| frame.kind))
}

fn place(partition: i32) -> Result<usize, Error> {
    match usize::try_from(partition) {
        Ok(place) if place < super::PARTITIONS => Ok(place),
        _ => Err(Error::violation("partition", "must be 0 to 63")),
    }
}

pub(super) fn arrived<M>(span: Span, envelope: Envelope, message: M) -> Result<Arrived<M>, Error> {
    let causation_id = match envelope.causation_id.as_str() {
        "" => None,
        id => Some(id::parse("causation_id", id)?),
    };
    Ok(Arrived {
        event_id: id::parse("event_id", &envelope.event_id)?,
        kind: envelope.r#type,
        correlation_id: id::parse("correlation_id", &envelope.correlation_id)?,
        causation_id,
        aggregate_id: id::parse("aggregate_id", &envelope.aggregate_id)?,
        aggregate_version: envelope.aggregate_version,
        occurred_at: envelope
            .occur_time
            .and_then(|time| time.try_into().ok())
            .ok_or_else(|| Error::violation("occur_time", "is required"))?,
        position: span.position,
        partition: span.partition,
        headers: envelope.headers.into_iter().collect(),
        message,
    })
}
