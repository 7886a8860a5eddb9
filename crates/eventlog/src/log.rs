//! One service's log as a whole: keeps the sequencer going, and shows what it
//! has numbered to all subscribers of this process. Holds nothing that is not
//! in the table: whoever misses a batch reads it there.
//!
//! Each read begins with the event that was seen last. When that is not where it
//! was, the database under the log is another one (a standby that lagged was
//! promoted, a backup was restored), and every subscriber has to prove its cursors
//! anew.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use base::Error;
use pg::Database;
use prost::Message as _;
use tokio::{
    sync::broadcast,
    time::{Instant, sleep},
};
use tokio_postgres::{Row, types::Json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    metrics,
    sequencer::{self, Place},
    v1::Envelope,
};

/// How soon what other processes committed or numbered is seen here: within a tenth of the time for
/// which nothing has happened, between this and `database.quiet_poll_ms`.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait while the database is unavailable.
const PAUSE: Duration = Duration::from_millis(500);
/// Events read at once, and their payloads' bytes; the first is read whatever its size.
const READ: (i64, i64) = (256, 1 << 20);
/// Batches that a subscriber may be behind before it has to read the table.
const WINDOW: usize = 64;

/// From a position on, which comes first.
const EVENTS: &str = "
    select position, partition, event_id, type, aggregate_id, aggregate_version, correlation_id,
      causation_id, headers, occurred_at, payload
    from (
      select p.position, p.partition, e.*,
        sum(octet_length(e.payload)) over (order by p.position rows unbounded preceding)
          - octet_length(e.payload) as bytes_before
      from (select position, partition, id from event_position
            where position >= $1 order by position limit $2) p,
        -- One by one: a join may be begun from the other side, with all events.
        lateral (select event_id, type, aggregate_id, aggregate_version, correlation_id,
          causation_id, headers, occurred_at, payload from event where id = p.id offset 0) e) b
    where bytes_before < $3 order by position";

/// A service's log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    database: Database,
    live: broadcast::Sender<Shown>,
}

/// What subscribers are shown.
#[derive(Clone, Debug)]
pub(super) enum Shown {
    /// Events that follow each other without a gap.
    Batch(Arc<Batch>),
    /// The log is not the one that was shown so far.
    Replaced,
}

/// Events after a place, without a gap.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) after: Place,
    pub(super) events: Vec<Stored>,
}

/// What was read.
pub(super) enum Read {
    /// What comes next; none when that is all there is.
    Events(Vec<Stored>),
    /// The event to go on after is not where it was.
    Replaced,
}

/// An event in its place.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) position: i64,
    pub(super) partition: i16,
    pub(super) event_id: Uuid,
    pub(super) kind: String,
    /// The encoded [`Envelope`], without its span: that depends on the subscriber.
    pub(super) envelope: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// Why a round begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// It is the first, or the first after an outage.
    Anew,
    /// Something was committed here; whether that is numbered is noted in the database.
    Committed,
    /// It is time to look.
    Tick,
}

impl Log {
    /// The log in `database`. Somebody has to [`run`](Self::run) it.
    pub fn open(database: Database) -> Self {
        Self { database, live: broadcast::Sender::new(WINDOW) }
    }

    /// Numbers events and shows them to the subscribers until told to stop. Every process that
    /// serves the log does so.
    pub async fn run(self, stop: CancellationToken) {
        let committed = Arc::clone(self.database.committed());
        let (mut shown, mut woken) = (None, Woken::Anew);
        let mut last_news = Instant::now();
        while !stop.is_cancelled() {
            match self.round(&mut shown, woken).await {
                Ok(true) => last_news = Instant::now(),
                Ok(false) => {}
                Err(error) => {
                    if woken != Woken::Anew {
                        let service = self.database.service();
                        tracing::warn!(%error, %service, "event log: database unavailable, retrying");
                    }
                    woken = Woken::Anew;
                    stop.run_until_cancelled(sleep(PAUSE)).await;
                    continue;
                }
            }
            let tick = (last_news.elapsed() / 10).min(self.database.quiet_poll()).max(TICK);
            woken = tokio::select! {
                () = stop.cancelled() => Woken::Tick,
                () = committed.notified() => Woken::Committed,
                () = sleep(tick) => Woken::Tick,
            };
        }
    }

    /// Numbers what is new and shows what was numbered, here or elsewhere; answers whether there
    /// was anything. What was committed here is mostly numbered by its own transaction; else, and
    /// at first, it is numbered here. A tick looks before that.
    async fn round(&self, shown: &mut Option<Place>, woken: Woken) -> Result<bool, Error> {
        let unnumbered = self.database.unnumbered().swap(false, Ordering::AcqRel);
        if woken == Woken::Anew || unnumbered {
            if let Err(error) = sequencer::number(&self.database).await {
                self.database.unnumbered().store(true, Ordering::Release);
                return Err(error);
            }
        } else if woken == Woken::Tick {
            let last = shown.unwrap_or_default();
            let look = sequencer::look(&self.database, last.position).await?;
            if last.position > 0 && look.seen != Some(last.event_id) {
                self.replaced(shown);
                return Ok(true);
            }
            if look.fresh {
                sequencer::number(&self.database).await?;
            } else if shown.is_some() && look.head == last {
                return Ok(false);
            }
        }
        let before = *shown;
        self.show_new(shown).await?;
        Ok(*shown != before)
    }

    /// Shows what was numbered since.
    async fn show_new(&self, shown: &mut Option<Place>) -> Result<(), Error> {
        let watched = self.live.receiver_count() > 0;
        let Some(mut after) = shown.filter(|_| watched) else {
            let head = sequencer::head(&self.database).await?;
            self.ends_at(head.position);
            // Whoever subscribed meanwhile learns that there is something in the table.
            self.show(Shown::Batch(Arc::new(Batch { after: head, events: Vec::new() })));
            *shown = Some(head);
            return Ok(());
        };
        loop {
            let Read::Events(events) = self.read(after.position, Some(after.event_id)).await?
            else {
                self.replaced(shown);
                return Ok(());
            };
            let Some(last) = events.last().map(Stored::place) else { return Ok(()) };
            self.show(Shown::Batch(Arc::new(Batch { after, events })));
            self.ends_at(last.position);
            after = last;
            *shown = Some(last);
        }
    }

    fn replaced(&self, shown: &mut Option<Place>) {
        let service = self.database.service();
        tracing::warn!(
            %service, last = ?shown,
            "the last published event is missing from the log: the database was restored or failed \
             over; subscribers verify their cursors"
        );
        *shown = None;
        self.show(Shown::Replaced);
    }

    fn ends_at(&self, position: i64) {
        metrics::log_head(&self.database.service(), position);
        self.database.log_ends_at(position);
    }

    fn show(&self, shown: Shown) {
        // Fails when nobody listens.
        let _ = self.live.send(shown);
    }

    /// All that is shown from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<Shown> {
        self.live.subscribe()
    }

    /// The service's database.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// The next events after a position, if the event there is still the one that was seen.
    pub(super) async fn read(&self, after: i64, seen: Option<Uuid>) -> Result<Read, Error> {
        let mut reader = self.database.read().await?;
        let (events, bytes) = READ;
        let rows = reader.query(EVENTS, &[&after, &(events + 1), &bytes]).await?;
        let mut stored: Vec<Stored> = rows.iter().map(Stored::from_row).collect();
        if after > 0 {
            match stored.first() {
                Some(first)
                    if first.position == after && seen.is_none_or(|id| id == first.event_id) =>
                {
                    stored.remove(0);
                }
                _ => return Ok(Read::Replaced),
            }
        }
        Ok(Read::Events(stored))
    }
}

impl Stored {
    pub(super) fn place(&self) -> Place {
        Place { position: self.position, event_id: self.event_id }
    }

    fn from_row(row: &Row) -> Self {
        let envelope = envelope(row);
        Self {
            position: row.get("position"),
            partition: row.get("partition"),
            event_id: row.get("event_id"),
            envelope: envelope.encode_to_vec(),
            kind: envelope.r#type,
            payload: row.get("payload"),
        }
    }
}

/// An event's envelope, without its span.
pub(super) fn envelope(row: &Row) -> Envelope {
    let id = |column: &str| row.get::<_, Uuid>(column).to_string();
    Envelope {
        span: None,
        event_id: id("event_id"),
        r#type: row.get("type"),
        aggregate_id: id("aggregate_id"),
        aggregate_version: row.get("aggregate_version"),
        correlation_id: id("correlation_id"),
        causation_id: row
            .get::<_, Option<Uuid>>("causation_id")
            .map_or_else(String::new, |id| id.to_string()),
        headers: row.get::<_, Json<HashMap<String, String>>>("headers").0,
        occur_time: Some(row.get::<_, SystemTime>("occurred_at").into()),
    }
}
