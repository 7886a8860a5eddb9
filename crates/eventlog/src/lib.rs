//! Events without a broker: appended in the business transaction, numbered after
//! its commit, streamed to whoever subscribes, applied exactly once.
//!
//! ```text
//! append ─> event ─> Log (sequencer) ─> Feed ══ gRPC ══> Consumer ─> Policy and checkpoint
//! ```
//!
//! An event's payload is opaque here: `append` takes its bytes, a [`Policy`] gets it decoded.
//!
//! ```no_run
//! use base::{Error, id::Uuid};
//! use eventlog::{Arrived, Draft, Policy};
//! use pg::{Database, Tx};
//! # #[derive(Clone, PartialEq, prost::Message)]
//! # struct Note {}
//!
//! // Here something happens, and is an event of the same transaction.
//! async fn write(database: &Database, page: Uuid) -> Result<(), Error> {
//!     let mut tx = database.begin().await?;
//!     tx.execute("update page set version = 2 where id = $1", &[&page]).await?;
//!     eventlog::append(&mut tx, &[Draft::new("PageWritten", page, 2, page, Vec::new())]).await?;
//!     tx.commit().await
//! }
//!
//! // Elsewhere it has an effect, once: the checkpoint moves in the same transaction.
//! struct CountPages;
//!
//! impl Policy<Note> for CountPages {
//!     async fn apply(&self, tx: &mut Tx, batch: &[Arrived<Note>]) -> Result<(), Error> {
//!         for event in batch {
//!             tx.caused_by(event.cause());
//!             tx.execute("update pages set count = count + 1", &[]).await?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! It refuses to lose an event, to apply one twice, and to let one that cannot be applied stop the others.

mod checkpoint;
mod consumer;
mod cursor;
pub mod facts;
mod feed;
mod log;
pub mod loss;
mod metrics;
pub mod parked;
mod replay;
mod sequencer;
mod trace;
pub mod trail;
mod wire;

use base::{Error, error::Kind};
use pg::{Cause, Tx};
use prost::Message as _;
use schema::Event;
use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

pub use consumer::{Arrived, Bearer, Consumer, Policy};
pub use feed::Feed;
pub use log::Log;

/// The contract of the stream, and of its operators.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated from the contracts"
)]
pub mod v1 {
    tonic::include_proto!("hansang.event.v1");
}

/// Partitions of a log. Never changes: cursors count on it.
pub const PARTITIONS: usize = 64;

/// An event that is about to be.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What changed.
    pub aggregate_id: Uuid,
    /// Its version after the change; unique with the aggregate.
    pub aggregate_version: i64,
    /// The event's name: `OrderPlaced`.
    pub kind: &'static str,
    /// What it concerns: all events with one correlation id are seen in order.
    pub correlation_id: Uuid,
    /// The encoded `<Context>Event`, with its `oneof` set and no frame.
    pub payload: Vec<u8>,
    /// What led to it; none means what its transaction says.
    pub cause: Option<Cause>,
}

impl Draft {
    /// An event that its transaction's cause led to.
    pub fn new(
        kind: &'static str,
        aggregate_id: Uuid,
        aggregate_version: i64,
        correlation_id: Uuid,
        payload: Vec<u8>,
    ) -> Self {
        Self { aggregate_id, aggregate_version, kind, correlation_id, payload, cause: None }
    }

    /// The same of one of the events that a contract has.
    pub fn of(
        event: impl Event,
        aggregate_id: Uuid,
        aggregate_version: i64,
        correlation_id: Uuid,
    ) -> Self {
        let (kind, payload) = (event.kind(), event.into_message().encode_to_vec());
        Self::new(kind, aggregate_id, aggregate_version, correlation_id, payload)
    }

    /// The same event with a cause of its own, if there is one, for transactions that handle several events.
    #[must_use]
    pub fn caused_by(mut self, cause: Option<&Cause>) -> Self {
        self.cause = cause.cloned();
        self
    }
}

const APPEND: &str = "
    insert into event (event_id, aggregate_id, aggregate_version, partition, type, correlation_id,
      payload, causation_id, headers)
    select d.event_id, d.aggregate_id, d.aggregate_version, d.partition, d.type, d.correlation_id,
      d.payload, d.causation_id, d.headers
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::smallint[], $5::text[], $6::uuid[],
      $7::bytea[], $8::uuid[], $9::jsonb[]) with ordinality
      as d (event_id, aggregate_id, aggregate_version, partition, type, correlation_id, payload,
        causation_id, headers, ordinality)
    order by d.ordinality";

/// The same of one event, as most transactions have it: costs the server 50 µs instead of 85.
const APPEND_ONE: &str = "
    insert into event (event_id, aggregate_id, aggregate_version, partition, type, correlation_id,
      payload, causation_id, headers)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// The largest payload of an event, bytes: well under what any follower takes (4 MiB, as gRPC has it).
pub const LARGEST: usize = 256 * 1024;

/// Appends events, in this order, to the log of the service that `tx` belongs to. The aggregates'
/// rows are to be locked by then: that is what keeps their events in order. One that is larger than
/// [`LARGEST`] is refused.
pub async fn append(tx: &mut Tx, drafts: &[Draft]) -> Result<(), Error> {
    if drafts.is_empty() {
        return Ok(());
    }
    if let Some(draft) = drafts.iter().find(|draft| draft.payload.len() > LARGEST) {
        let (kind, size) = (draft.kind, draft.payload.len());
        let detail = format!("{kind} would have {size} bytes; an event has at most {LARGEST}");
        return Err(Error::new(Kind::Invalid, "EVENT_TOO_LARGE", detail));
    }
    let common = tx.cause().clone();
    let cause = |draft: &Draft| draft.cause.as_ref().unwrap_or(&common).clone();
    if let [draft] = drafts {
        let Cause { causation_id, headers } = cause(draft);
        let row: [&(dyn ToSql + Sync); 9] = [
            &Uuid::now_v7(),
            &draft.aggregate_id,
            &draft.aggregate_version,
            &partition(draft.correlation_id),
            &draft.kind,
            &draft.correlation_id,
            &draft.payload,
            &causation_id,
            &Json(headers),
        ];
        tx.execute(APPEND_ONE, &row).await?;
    } else {
        let columns: [&(dyn ToSql + Sync); 9] = [
            &column(drafts, |_| Uuid::now_v7()),
            &column(drafts, |d| d.aggregate_id),
            &column(drafts, |d| d.aggregate_version),
            &column(drafts, |d| partition(d.correlation_id)),
            &column(drafts, |d| d.kind),
            &column(drafts, |d| d.correlation_id),
            &column(drafts, |d| d.payload.as_slice()),
            &column(drafts, |d| cause(d).causation_id),
            &column(drafts, |d| Json(cause(d).headers)),
        ];
        tx.execute(APPEND, &columns).await?;
    }
    let (source, kinds) = (tx.service(), column(drafts, |draft| draft.kind));
    tx.once_committed(move || metrics::appended(&source, &kinds));
    tx.mark_appended();
    Ok(())
}

fn column<'a, T>(drafts: &'a [Draft], of: impl Fn(&'a Draft) -> T) -> Vec<T> {
    drafts.iter().map(of).collect()
}

/// The partition of all that concerns `correlation_id`: 64-bit FNV-1a over the id's 16
/// bytes, its halves folded by exclusive or, modulo 64. Stored with each event, so it never changes.
pub fn partition(correlation_id: Uuid) -> i16 {
    let hash = correlation_id.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i16::from((hash ^ (hash >> 32)).to_le_bytes()[0] % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_forever() {
        let of = |text: &str| partition(Uuid::parse_str(text).expect("a uuid"));
        assert_eq!(of("00000000-0000-0000-0000-000000000000"), 28);
        assert_eq!(of("01890a5d-ac96-774b-bcce-b302099a8057"), 47);
        assert_eq!(of("ffffffff-ffff-ffff-ffff-ffffffffffff"), 29);
    }

    #[test]
    fn ids_made_in_one_moment_spread_over_all_partitions() {
        let mut seen = [0_u32; PARTITIONS];
        for _ in 0..6_400 {
            seen[usize::try_from(partition(Uuid::now_v7())).expect("not negative")] += 1;
        }
        assert!(seen.iter().all(|count| (40..200).contains(count)), "{seen:?}");
    }
}
