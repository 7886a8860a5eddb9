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
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
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
    PARTITIONS,
    log::{Batch, Log, READ, Stored},
    v1::{CaughtUp, Cursor, Opened, Progress, Span, SubscribeRequest, frame::Kind},
    wire::{self, Raw},
};
use crate::{Error, error};

/// How soon a subscriber learns of events that are not for it.
const PROGRESS: Duration = Duration::from_millis(250);
/// How far the spans of a silent partition may stay behind: what a subscriber may have to skip
/// when it comes again.
const SILENCE: i64 = 1_000;

/// The gRPC service that `N` names: [`serve`](crate::House::serve) it like a generated one.
pub struct Feed<N> {
    log: Log,
    stop: CancellationToken,
    name: PhantomData<fn() -> N>,
}

impl<N> Feed<N> {
    /// Serves `log` until told to stop; then the streams end.
    pub fn new(log: Log, stop: CancellationToken) -> Self {
        Self { log, stop, name: PhantomData }
    }
}

impl<N> Clone for Feed<N> {
    fn clone(&self) -> Self {
        Self::new(self.log.clone(), self.stop.clone())
    }
}

impl<N: NamedService> NamedService for Feed<N> {
    const NAME: &'static str = N::NAME;
}

impl<N: NamedService> tower::Service<http::Request<Body>> for Feed<N> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = request.uri().path().strip_prefix('/').and_then(|p| p.strip_prefix(N::NAME));
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
    live: broadcast::Receiver<Arc<Batch>>,
    stop: CancellationToken,
    incarnation: Uuid,
    /// Empty: all.
    types: HashSet<String>,
    /// Everything up to here has been looked at.
    at: i64,
    /// What the spans sent so far cover, by partition.
    covered: [i64; PARTITIONS],
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
        let head = log.head().await?;
        let incarnation = head.incarnation.to_string();
        if !request.incarnation.is_empty() && request.incarnation != incarnation {
            return Err(another_log());
        }
        let covered = covered(&request.cursors)?;
        if covered.iter().any(|position| *position > head.position) {
            return Err(Error::new(
                error::Kind::Conflict,
                "CURSOR_PAST_HEAD",
                format!("the log ends at {}: it has lost what was seen of it", head.position),
            ));
        }
        let at = covered.iter().copied().min().unwrap_or_default();
        tracing::info!(group = request.group, at, head = head.position, "subscribed");
        let opened = wire::frame(Kind::Opened(Opened { incarnation, head: head.position }));
        Ok(Self {
            log,
            live,
            stop,
            incarnation: head.incarnation,
            types: request.types.into_iter().collect(),
            at,
            covered,
            passed_over: 0,
            progress: None,
            behind: true,
            caught_up: false,
            queue: VecDeque::from([opened]),
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
        let events = self.log.read(self.incarnation, self.at).await?;
        for event in &events {
            self.look_at(event);
        }
        self.behind = events.len() == usize::from(READ);
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
            batch = self.live.recv() => match batch {
                Ok(batch) if batch.head.incarnation != self.incarnation => return Err(another_log()),
                Ok(batch) => {
                    let first = batch.events.first().map_or(batch.head.position, |e| e.position - 1);
                    self.behind = first > self.at;
                    if !self.behind {
                        for event in &batch.events {
                            self.look_at(event);
                        }
                    }
                }
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => self.stop.cancelled().await,
            }
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
        let covered = &mut self.covered[partition];
        if event.position <= *covered {
            return;
        }
        if self.types.is_empty() || self.types.contains(&event.kind) {
            let span = Span {
                partition: event.partition.into(),
                covers_after: *covered,
                position: event.position,
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
        let mut spans = Vec::new();
        for (partition, covered) in self.covered.iter_mut().enumerate() {
            if passed_over & (1 << partition) != 0 || *covered + SILENCE <= self.at {
                let covers_after = std::mem::replace(covered, self.at);
                let partition = i32::try_from(partition).unwrap_or_default();
                spans.push(Span { partition, covers_after, position: self.at });
            }
        }
        if !spans.is_empty() {
            self.queue.push_back(wire::frame(Kind::Progress(Progress { spans })));
        }
    }
}

/// What a request's cursors cover.
fn covered(cursors: &[Cursor]) -> Result<[i64; PARTITIONS], Error> {
    let mut covered = [0; PARTITIONS];
    for (index, cursor) in cursors.iter().enumerate() {
        let place = usize::try_from(cursor.partition).ok().and_then(|p| covered.get_mut(p));
        let field = || format!("cursors[{index}].partition");
        *place.ok_or_else(|| Error::violation(field(), "must be 0 to 63"))? =
            cursor.position.max(0);
    }
    Ok(covered)
}

fn another_log() -> Error {
    Error::new(
        error::Kind::Conflict,
        "ANOTHER_LOG",
        "the log is not the one that the cursors belong to: its database was restored",
    )
}
