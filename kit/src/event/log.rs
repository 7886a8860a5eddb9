//! One service's log as a whole: keeps the sequencer going, and shows what it
//! has numbered to all subscribers of this process. Holds nothing that is not
//! in the table: whoever misses a batch reads it there.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use prost::Message as _;
use tokio::{
    sync::broadcast,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_postgres::{Row, types::Json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    gauge,
    sequencer::{self, Head},
    v1::Envelope,
};
use crate::{Database, Error};

/// How soon what other processes committed or numbered is seen here.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait while the database is away.
const PAUSE: Duration = Duration::from_millis(500);
/// Events read at once.
pub(super) const READ: u16 = 256;
/// Batches that a subscriber may be behind before it has to read the table.
const WINDOW: usize = 64;

const EVENTS: &str = "
    select p.position, p.partition, e.event_id, e.type, e.aggregate_id,
      e.aggregate_version, e.correlation_id, e.causation_id, e.headers, e.occurred_at, e.payload
    from sequencer s, event_position p join event e using (id)
    where p.position > $1 and s.incarnation = $3 order by p.position limit $2";

/// A service's log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    database: Database,
    live: broadcast::Sender<Arc<Batch>>,
}

/// Events that follow each other without a gap, up to `head`.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) head: Head,
    pub(super) events: Vec<Stored>,
}

/// An event in its place.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) position: i64,
    pub(super) partition: i16,
    pub(super) kind: String,
    /// The encoded [`Envelope`], without its span: that depends on the subscriber.
    pub(super) envelope: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

impl Log {
    /// The log in `database`. Somebody has to [`run`](Self::run) it.
    pub fn open(database: Database) -> Self {
        Self { database, live: broadcast::Sender::new(WINDOW) }
    }

    /// Numbers events and shows them to the subscribers until told to stop. Every process that
    /// serves the log does so.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let committed = Arc::clone(self.database.committed());
        let (mut shown, mut woken) = (None, true);
        while !stop.is_cancelled() {
            if let Err(error) = self.round(&mut shown, woken).await {
                if shown.take().is_some() {
                    tracing::warn!(%error, "the event log waits for its database");
                }
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
            woken = tokio::select! {
                () = stop.cancelled() => false,
                () = committed.notified() => true,
                _ = tick.tick() => false,
            };
        }
    }

    /// Numbers what is new and shows what was numbered, here or elsewhere. Without a commit of our
    /// own a look comes first, as idle locking burns transaction ids; not in the first round and
    /// after an outage, because a look cannot see that the database was restored.
    async fn round(&self, shown: &mut Option<Head>, woken: bool) -> Result<(), Error> {
        let known =
            if woken || shown.is_none() { None } else { sequencer::look(&self.database).await? };
        let head = match known {
            Some(head) => head,
            None => sequencer::number(&self.database).await?,
        };
        gauge::log_head(&self.database.service(), head.position);
        let mut at = match shown.replace(head) {
            Some(before) if before == head => return Ok(()),
            Some(before) if before.incarnation == head.incarnation && self.is_watched() => {
                before.position
            }
            _ => {
                // Whoever came meanwhile learns that there is something in the table.
                self.show(Batch { head, events: Vec::new() });
                return Ok(());
            }
        };
        while at < head.position {
            let events = self.read(head.incarnation, at).await?;
            at = events.last().map_or(head.position, |event| event.position);
            self.show(Batch { head: Head { position: at, ..head }, events });
        }
        *shown = Some(Head { position: at, ..head });
        Ok(())
    }

    fn is_watched(&self) -> bool {
        self.live.receiver_count() > 0
    }

    fn show(&self, batch: Batch) {
        // Fails when nobody listens.
        let _ = self.live.send(Arc::new(batch));
    }

    /// All batches from now on.
    pub(super) fn watch(&self) -> broadcast::Receiver<Arc<Batch>> {
        self.live.subscribe()
    }

    /// Where the log ends, and which log it is.
    pub(super) async fn head(&self) -> Result<Head, Error> {
        sequencer::head(&self.database).await
    }

    /// The next events after a position; fewer than [`READ`] of them: that is all there is. None at
    /// all when the log is another one by now.
    pub(super) async fn read(&self, incarnation: Uuid, after: i64) -> Result<Vec<Stored>, Error> {
        let mut reader = self.database.read().await?;
        let rows = reader.query(EVENTS, &[&after, &i64::from(READ), &incarnation]).await?;
        Ok(rows.iter().map(Stored::from_row).collect())
    }
}

impl Stored {
    fn from_row(row: &Row) -> Self {
        let id = |column: &str| row.get::<_, Uuid>(column).to_string();
        let kind: String = row.get("type");
        let envelope = Envelope {
            span: None,
            event_id: id("event_id"),
            r#type: kind.clone(),
            aggregate_id: id("aggregate_id"),
            aggregate_version: row.get("aggregate_version"),
            correlation_id: id("correlation_id"),
            causation_id: row
                .get::<_, Option<Uuid>>("causation_id")
                .map_or_else(String::new, |id| id.to_string()),
            headers: row.get::<_, Json<HashMap<String, String>>>("headers").0,
            occur_time: Some(row.get::<_, SystemTime>("occurred_at").into()),
        };
        Self {
            position: row.get("position"),
            partition: row.get("partition"),
            kind,
            envelope: envelope.encode_to_vec(),
            payload: row.get("payload"),
        }
    }
}
