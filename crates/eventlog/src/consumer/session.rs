//! One subscription: what is stored, what has arrived beyond that, and the proof
//! that nothing is missing in between.

use base::{Error, id};
use bytes::Bytes;
use prost::Message;
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::{Arrived, LAZY};
use crate::{
    PARTITIONS,
    checkpoint::{Mark, Marks},
    v1::{Cursor, Envelope, Span, frame::Kind},
    wire::Framed,
};

pub(super) struct Session<M> {
    pub(super) stored: Marks,
    pub(super) seen: Marks,
    pub(super) events: Vec<Arrived<M>>,
    /// Beside each event, its message and whether it can be read.
    pub(super) messages: Vec<(Bytes, Option<Error>)>,
    /// Of those messages.
    pub(super) bytes: usize,
    /// When to store what has no effect.
    pub(super) flush: Option<Instant>,
    /// Events of this source that are parked.
    pub(super) parked: i64,
    /// Partitions that the source leaves out.
    pub(super) lost: usize,
}

impl<M> Session<M> {
    pub(super) fn new(stored: Marks, parked: i64) -> Self {
        Self {
            seen: stored.clone(),
            stored,
            events: Vec::new(),
            messages: Vec::new(),
            bytes: 0,
            flush: None,
            parked,
            lost: 0,
        }
    }

    /// What has arrived is applied.
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.messages.clear();
        self.bytes = 0;
    }

    /// What is stored once this event is applied.
    pub(super) fn after(&self, event: &Arrived<M>) -> Result<Marks, Error> {
        let mut marks = self.stored.clone();
        marks[place(event.partition)?] = mark(event.position, event.event_id);
        Ok(marks)
    }

    /// What is stored once these cursors are in place.
    pub(super) fn resumed(&self, cursors: &[Cursor]) -> Result<Marks, Error> {
        let mut marks = self.stored.clone();
        for cursor in cursors {
            let mark = &mut marks[place(cursor.partition)?];
            mark.position = cursor.position;
            mark.event_id = optional("event_id", &cursor.event_id)?;
        }
        Ok(marks)
    }
}

impl<M: Message + Default> Session<M> {
    /// Takes a message in.
    pub(super) fn take(&mut self, message: Option<Result<Bytes, Status>>) -> Result<(), Error> {
        let message = received(message)?;
        match kind(&message)? {
            Some(Kind::Event(envelope)) => {
                let span = envelope.span.clone().unwrap_or_default();
                let (decoded, fault) = match M::decode(message.clone()) {
                    Ok(decoded) => (decoded, None),
                    Err(error) => (M::default(), Some(Error::internal(error.to_string()))),
                };
                let arrived = arrived(&span, envelope, decoded)?;
                self.cover(&span, mark(span.position, arrived.event_id))?;
                self.events.push(arrived);
                self.bytes += message.len();
                self.messages.push((message, fault));
            }
            Some(Kind::Progress(progress)) => {
                for span in progress.spans {
                    let event_id = optional("event_id", &span.event_id)?;
                    let Mark { applied, applied_id, .. } = self.seen[place(span.partition)?];
                    let position = span.position;
                    self.cover(&span, Mark { position, event_id, applied, applied_id })?;
                }
                self.flush.get_or_insert_with(|| Instant::now() + LAZY);
            }
            Some(Kind::CaughtUp(_) | Kind::Opened(_)) | None => {}
        }
        Ok(())
    }

    /// Notes that nothing is missing up to the span's end.
    fn cover(&mut self, span: &Span, to: Mark) -> Result<(), Error> {
        let seen = &mut self.seen[place(span.partition)?];
        if seen.position != span.covers_after || span.position <= span.covers_after {
            return Err(Error::internal(format!("gap: after {} comes {span:?}", seen.position)));
        }
        *seen = to;
        Ok(())
    }
}

/// The mark of a partition whose last event was applied.
fn mark(position: i64, event_id: Uuid) -> Mark {
    let event_id = Some(event_id);
    Mark { position, event_id, applied: position, applied_id: event_id }
}

fn optional(field: &str, value: &str) -> Result<Option<Uuid>, Error> {
    match value {
        "" => Ok(None),
        value => id::parse(field, value).map(Some),
    }
}

/// A message of the stream; its end is an outage, as the stream itself never ends.
pub(super) fn received(message: Option<Result<Bytes, Status>>) -> Result<Bytes, Error> {
    match message {
        Some(message) => Ok(message?),
        None => Err(Error::unavailable("SOURCE_ENDED", "the source ended the stream")),
    }
}

/// What the frame of a message says.
pub(crate) fn kind(message: &Bytes) -> Result<Option<Kind>, Error> {
    let framed = Framed::decode(message.clone()).map_err(|e| Error::internal(e.to_string()))?;
    Ok(framed.frame.and_then(|frame| frame.kind))
}

/// A partition's index.
pub(super) fn place(partition: i32) -> Result<usize, Error> {
    match usize::try_from(partition) {
        Ok(place) if place < PARTITIONS => Ok(place),
        _ => Err(Error::violation("partition", "must be 0 to 63")),
    }
}

/// An event as a policy sees it.
pub(crate) fn arrived<M>(span: &Span, envelope: Envelope, message: M) -> Result<Arrived<M>, Error> {
    Ok(Arrived {
        event_id: id::parse("event_id", &envelope.event_id)?,
        kind: envelope.r#type,
        correlation_id: id::parse("correlation_id", &envelope.correlation_id)?,
        causation_id: optional("causation_id", &envelope.causation_id)?,
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
