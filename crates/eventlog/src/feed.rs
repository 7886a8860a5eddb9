//! Serves a log to subscribers: `<Context>Events.Subscribe` of any context.
//!
//! A subscriber reads the table until it has caught up, then follows the live
//! batches; one that cannot keep up misses batches and reads the table again.
//! Nothing is buffered for it but one batch: its stream is written as fast as
//! it is read. Who may subscribe is none of its business: see `access`.

use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use base::{Error, error};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use schema::Events;
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    server::{Grpc, NamedService, ServerStreamingService},
};
use uuid::Uuid;

use super::{
    PARTITIONS, cursor,
    log::{Batch, Log, Read, Shown, Stored},
    sequencer::Place,
    v1::{CaughtUp, Opened, Progress, Span, SubscribeRequest, frame::Kind},
    wire::{self, Raw},
};

/// How soon a subscriber learns of events that are not for it.
const PROGRESS: Duration = Duration::from_millis(250);
/// How far the spans of a silent partition may stay behind: what a subscriber may have to skip
/// when it subscribes again.
const SILENCE: i64 = 1_000;

/// The gRPC service that streams the events `E`: served like a generated one.
pub struct Feed<E> {
    log: Log,
    stop: CancellationToken,
    events: PhantomData<fn() -> E>,
}

impl<E> Feed<E> {
    /// Serves `log` until told to stop; then the streams end.
    pub fn new(log: Log, stop: CancellationToken) -> Self {
        Self { log, stop, events: PhantomData }
    }
}

impl<E> Clone for Feed<E> {
    fn clone(&self) -> Self {
        Self::new(self.log.clone(), self.stop.clone())
    }
}

impl<E: Events> NamedService for Feed<E> {
    const NAME: &'static str = E::STREAM;
}

impl<E: Events> tower::Service<http::Request<Body>> for Feed<E> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().strip_prefix('/').and_then(|p| p.strip_prefix(E::STREAM));
        if method != Some("/Subscribe") {
            let response = Status::unimplemented("no such method").into_http();
            return Box::pin(async { Ok(response) });
        }
        let subscribe = Subscribe { log: self.log.clone(), stop: self.stop.clone() };
        Box::pin(async { Ok(Grpc::new(Raw::new()).server_streaming(subscribe, request).await) })
    }
}

/// The method.
struct Subscribe {
    log: Log,
    stop: CancellationToken,
}

type Messages = BoxStream<'static, Result<Bytes, Status>>;

impl ServerStreamingService<SubscribeRequest> for Subscribe {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Messages>, Status>> + Send>>;

    fn call(&mut self, request: Request<SubscribeRequest>) -> Self::Future {
        let (log, stop) = (self.log.clone(), self.stop.clone());
        Box::pin(async {
            let subscriber = Subscriber::open(log, stop, request.into_inner()).await?;
            let messages = stream::unfold(Some(subscriber), |subscriber| async {
                let mut subscriber = subscriber?;
                match subscriber.next().await {
                    Ok(Some(message)) => Some((Ok(message), Some(subscriber))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error.into()), None)),
                }
            });
            Ok(Response::new(messages.boxed()))
        })
    }
}

/// One open stream.
struct Subscriber {
    log: Log,
    live: broadcast::Receiver<Shown>,
    stop: CancellationToken,
    /// Empty: all.
    types: HashSet<String>,
    /// Everything up to here has been looked at.
    at: i64,
    /// The event there; none when no cursor told.
    at_id: Option<Uuid>,
    /// What the spans sent so far cover, by partition.
    covered: [i64; PARTITIONS],
    /// Partitions that are left out, as the log has lost events that were applied of them.
    lost: u64,
    /// Partitions with events that were passed over since they were last covered.
    passed_over: u64,
    /// When to tell of them.
    progress: Option<Instant>,
    behind: bool,
    caught_up: bool,
    queue: VecDeque<Bytes>,
}

impl Subscriber {
    async fn open(
        log: Log,
        stop: CancellationToken,
        request: SubscribeRequest,
    ) -> Result<Self, Error> {
        // Before anything is read: so that no batch falls in between.
        let live = log.watch();
        let incarnation = cursor::incarnation(log.database()).await?.to_string();
        if !request.incarnation.is_empty() && request.incarnation != incarnation {
            return Err(replaced());
        }
        let proven = cursor::prove(log.database(), &request.cursors).await?;
        let head = proven.head;
        let (at, at_id) = proven.start();
        tracing::info!(group = request.group, at, head, lost = proven.lost.len(), "subscribed");
        let lost = proven.lost.iter().fold(0, |lost, l| lost | 1_u64 << l.partition);
        let covered = proven.covered;
        let opened = Opened { incarnation, head, resumed: proven.resumed, lost: proven.lost };
        Ok(Self {
            log,
            live,
            stop,
            types: request.types.into_iter().collect(),
            at,
            at_id,
            covered,
            lost,
            passed_over: 0,
            progress: None,
            behind: true,
            caught_up: false,
            queue: VecDeque::from([wire::frame(Kind::Opened(opened))]),
        })
    }

    /// The next message; none when the stream is to end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            if let Some(message) = self.queue.pop_front() {
                return Ok(Some(message));
            }
            if self.behind {
                self.catch_up().await?;
            } else {
                self.follow().await?;
            }
        }
    }

    async fn catch_up(&mut self) -> Result<(), Error> {
        let Read::Events(events) = self.log.read(self.at, self.at_id).await? else {
            return Err(replaced());
        };
        for event in &events {
            self.look_at(event);
        }
        self.behind = !events.is_empty();
        if self.progress.is_some() {
            self.tell_progress();
        }
        if !self.behind && !self.caught_up {
            self.caught_up = true;
            self.queue.push_back(wire::frame(Kind::CaughtUp(CaughtUp { position: self.at })));
        }
        Ok(())
    }

    async fn follow(&mut self) -> Result<(), Error> {
        let due = self.progress.unwrap_or_else(Instant::now);
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep_until(due), if self.progress.is_some() => self.tell_progress(),
            shown = self.live.recv() => match shown {
                Ok(Shown::Batch(batch)) => self.take(&batch)?,
                Ok(Shown::Replaced) => return Err(replaced()),
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => self.stop.cancelled().await,
            }
        }
        Ok(())
    }

    /// Takes up a live batch, if it has what comes next; else the table has it.
    fn take(&mut self, batch: &Batch) -> Result<(), Error> {
        if batch.after.position > self.at {
            self.behind = true;
            return Ok(());
        }
        // What this batch says of the event that was seen last.
        let places = std::iter::once(batch.after).chain(batch.events.iter().map(Stored::place));
        let same = |place: Place| self.at_id.is_none_or(|id| id == place.event_id);
        if !places.filter(|place| place.position == self.at && self.at > 0).all(same) {
            return Err(replaced());
        }
        for event in &batch.events {
            self.look_at(event);
        }
        Ok(())
    }

    /// Takes up an event that comes right after all that were looked at, or has been before.
    fn look_at(&mut self, event: &Stored) {
        let partition = usize::try_from(event.partition).unwrap_or_default();
        if event.position <= self.at {
            return;
        }
        self.at = event.position;
        self.at_id = Some(event.event_id);
        let covered = &mut self.covered[partition];
        if event.position <= *covered || self.lost & (1 << partition) != 0 {
            return;
        }
        if self.types.is_empty() || self.types.contains(&event.kind) {
            let span = Span {
                partition: event.partition.into(),
                covers_after: *covered,
                position: event.position,
                event_id: String::new(),
            };
            *covered = event.position;
            self.passed_over &= !(1 << partition);
            self.queue.push_back(wire::event(span, &event.envelope, &event.payload));
        } else {
            self.passed_over |= 1 << partition;
            self.progress.get_or_insert_with(|| Instant::now() + PROGRESS);
        }
        if self.at % SILENCE == 0 {
            self.progress.get_or_insert_with(|| Instant::now() + PROGRESS);
        }
    }

    /// Covers what was passed over, and the partitions where nothing has happened for long.
    fn tell_progress(&mut self) {
        self.progress = None;
        let passed_over = std::mem::take(&mut self.passed_over);
        let event_id = self.at_id.map_or_else(String::new, |id| id.to_string());
        let mut spans = Vec::new();
        for (partition, covered) in self.covered.iter_mut().enumerate() {
            let (bit, silent) = (1 << partition, covered.saturating_add(SILENCE) <= self.at);
            if self.lost & bit == 0 && (passed_over & bit != 0 || silent) && *covered < self.at {
                let covers_after = std::mem::replace(covered, self.at);
                let partition = i32::try_from(partition).unwrap_or_default();
                let event_id = event_id.clone();
                spans.push(Span { partition, covers_after, position: self.at, event_id });
            }
        }
        if !spans.is_empty() {
            self.queue.push_back(wire::frame(Kind::Progress(Progress { spans })));
        }
    }
}

fn replaced() -> Error {
    Error::new(
        error::Kind::Conflict,
        "ANOTHER_LOG",
        "the log is another one than before: subscribe again, with the ids of the events",
    )
}
