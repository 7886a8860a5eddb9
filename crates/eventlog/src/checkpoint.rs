//! How far a consumer has come in another service's log. Everything here goes into
//! the transaction of the effect: that is what makes the effect exactly once.
//!
//! A checkpoint that moves is a new row in place of the old one, whose key has the
//! position in it. No row is rewritten, so that none grows slow under a snapshot that
//! somebody holds; and whoever deletes the old row has proved that nobody else did.

use base::{Error, error::Kind};
use pg::{Database, Tx};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{PARTITIONS, v1};

/// How far one partition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Everything up to here has been seen;
    pub(super) position: i64,
    /// and this event stands there, as far as the source has told.
    pub(super) event_id: Option<Uuid>,
    /// The last event of the partition that was applied; 0 before the first.
    pub(super) applied: i64,
    pub(super) applied_id: Option<Uuid>,
}

/// Marks by partition; they are large.
pub(super) type Marks = Box<[Mark; PARTITIONS]>;

/// Whose checkpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) consumer: &'static str,
    pub(super) source: &'static str,
}

impl Mark {
    /// As it stands on a subscription.
    pub(super) fn cursor(self, partition: i32) -> v1::Cursor {
        let text = |id: Option<Uuid>| id.map_or_else(String::new, |id| id.to_string());
        v1::Cursor {
            partition,
            position: self.position,
            event_id: text(self.event_id),
            applied: self.applied,
            applied_event_id: text(self.applied_id),
        }
    }
}

/// Reads the checkpoints, and makes those that are missing.
pub(super) async fn load(database: &Database, owner: Owner) -> Result<Marks, Error> {
    let mut reader = database.read().await?;
    let select = "select partition, position, event_id, applied, applied_id from checkpoint
         where consumer = $1 and source = $2";
    let mut rows = reader.query(select, &[&owner.consumer, &owner.source]).await?;
    if rows.len() < PARTITIONS {
        let missing = "insert into checkpoint (consumer, source, partition, position, applied)
             select $1, $2, p, 0, 0 from generate_series(0, 63) as p
             where not exists (select from checkpoint
               where consumer = $1 and source = $2 and partition = p)
             on conflict do nothing";
        reader.execute(missing, &[&owner.consumer, &owner.source]).await?;
        rows = reader.query(select, &[&owner.consumer, &owner.source]).await?;
    }
    let mut marks = Box::new([Mark::default(); PARTITIONS]);
    for row in &rows {
        let partition = usize::try_from(row.get::<_, i16>(0)).unwrap_or_default();
        marks[partition] = Mark {
            position: row.get(1),
            event_id: row.get(2),
            applied: row.get(3),
            applied_id: row.get(4),
        };
    }
    Ok(marks)
}

const MOVE_ONE: &str = "
    with gone as (
      delete from checkpoint
      where consumer = $1 and source = $2 and partition = $3 and position = $4 returning 1)
    insert into checkpoint (consumer, source, partition, position, event_id, applied, applied_id)
    select $1, $2, $3, $5, $6, $7, $8 from gone";

/// Each old row is looked up by its whole key, and deleted by its place: joined in any other way, all
/// partitions of the owner might be read.
const MOVE: &str = "
    with step as materialized (
      select * from unnest($3::smallint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::bigint[],
        $8::uuid[]) as s (partition, old, position, event_id, applied, applied_id)),
    gone as (
      delete from checkpoint where ctid = any(array(
        select (select c.ctid from checkpoint c
                where c.consumer = $1 and c.source = $2 and c.partition = s.partition
                  and c.position = s.old)
        from step s))
      returning partition)
    insert into checkpoint (consumer, source, partition, position, event_id, applied, applied_id)
    select $1, $2, partition, position, event_id, applied, applied_id from gone join step using (partition)";

/// Moves the checkpoints that differ. Refuses when any is not where it was left: then somebody
/// else has applied the same events, and this transaction must not.
pub(super) async fn advance(
    tx: &mut Tx,
    owner: Owner,
    from: &Marks,
    to: &Marks,
) -> Result<(), Error> {
    let moved: Vec<_> = (0_i16..)
        .zip(from.iter().zip(to.iter()))
        .filter(|(_, (from, to))| from != to)
        .map(|(partition, (from, to))| (partition, from.position, *to))
        .collect();
    let rows = if let [(partition, old, to)] = moved.as_slice() {
        let params: [&(dyn ToSql + Sync); 8] = [
            &owner.consumer,
            &owner.source,
            partition,
            old,
            &to.position,
            &to.event_id,
            &to.applied,
            &to.applied_id,
        ];
        tx.execute(MOVE_ONE, &params).await?
    } else {
        let params: [&(dyn ToSql + Sync); 8] = [
            &owner.consumer,
            &owner.source,
            &column(&moved, |(partition, ..)| *partition),
            &column(&moved, |(_, old, _)| *old),
            &column(&moved, |(.., to)| to.position),
            &column(&moved, |(.., to)| to.event_id),
            &column(&moved, |(.., to)| to.applied),
            &column(&moved, |(.., to)| to.applied_id),
        ];
        tx.execute(MOVE, &params).await?
    };
    if usize::try_from(rows).ok() != Some(moved.len()) {
        let detail = "another replica has moved this checkpoint";
        return Err(Error::new(Kind::Aborted, "CHECKPOINT_MOVED", detail));
    }
    Ok(())
}

fn column<M, T>(moved: &[M], of: impl Fn(&M) -> T) -> Vec<T> {
    moved.iter().map(of).collect()
}
