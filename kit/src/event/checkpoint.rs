//! How far a consumer has come in another service's log, and what it set aside.
//! Everything here goes into the transaction of the effect: that is what makes
//! the effect exactly once.

use std::collections::HashSet;

use bytes::Bytes;
use uuid::Uuid;

use super::PARTITIONS;
use crate::{Database, Error, Tx, error::Kind};

/// Positions by partition.
pub(super) type Positions = [i64; PARTITIONS];

/// Whose checkpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) consumer: &'static str,
    pub(super) source: &'static str,
}

/// What is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) positions: Positions,
    /// The log that they belong to; none before the first contact.
    pub(super) incarnation: Option<Uuid>,
    /// Events set aside.
    pub(super) parked: i64,
}

/// An event to be set aside.
pub(super) struct Parked<'a> {
    pub(super) position: i64,
    pub(super) correlation_id: Uuid,
    pub(super) kind: &'a str,
    pub(super) message: &'a [u8],
    /// Why; none for what only stands behind another.
    pub(super) error: Option<String>,
}

/// Reads the checkpoints, and makes those that are missing.
pub(super) async fn load(database: &Database, owner: Owner) -> Result<Stored, Error> {
    let mut reader = database.read().await?;
    let select = "select partition, position, incarnation, parked from checkpoint
         where consumer = $1 and source = $2 order by partition";
    let mut rows = reader.query(select, &[&owner.consumer, &owner.source]).await?;
    if rows.len() < PARTITIONS {
        reader
            .execute(
                "insert into checkpoint (consumer, source, partition)
                 select $1, $2, generate_series(0, 63) on conflict do nothing",
                &[&owner.consumer, &owner.source],
            )
            .await?;
        rows = reader.query(select, &[&owner.consumer, &owner.source]).await?;
    }
    let mut stored = Stored { positions: [0; PARTITIONS], incarnation: None, parked: 0 };
    for (row, position) in rows.iter().zip(&mut stored.positions) {
        *position = row.get(1);
        stored.incarnation = row.get(2);
        stored.parked += row.get::<_, i64>(3);
    }
    Ok(stored)
}

/// Notes which log it is, at the first contact.
pub(super) async fn adopt(database: &Database, owner: Owner, log: Uuid) -> Result<(), Error> {
    let sql = "update checkpoint set incarnation = $3
         where consumer = $1 and source = $2 and incarnation is null";
    database.read().await?.execute(sql, &[&owner.consumer, &owner.source, &log]).await?;
    Ok(())
}

/// Moves the checkpoints that differ. Refuses when any is not where it was left: then somebody
/// else has applied the same events, and this transaction must not. Answers whether anything is
/// set aside in these partitions.
pub(super) async fn advance(
    tx: &mut Tx,
    owner: Owner,
    log: Uuid,
    from: &Positions,
    to: &Positions,
) -> Result<bool, Error> {
    let moved = (0_i16..).zip(from.iter().zip(to)).filter(|(_, (from, to))| from != to);
    let (mut partitions, mut old, mut new) = (Vec::new(), Vec::new(), Vec::new());
    for (partition, (from, to)) in moved {
        partitions.push(partition);
        old.push(*from);
        new.push(*to);
    }
    let rows = tx
        .query(
            "with step as (
               select * from unnest($4::smallint[], $5::bigint[], $6::bigint[])
                 as s (partition, old, new)),
             held as materialized (
               select c.partition, step.new from checkpoint c join step using (partition)
               where c.consumer = $1 and c.source = $2 and c.incarnation = $3
                 and c.position = step.old
               order by c.partition for update of c)
             update checkpoint c set position = held.new from held
             where c.consumer = $1 and c.source = $2 and c.partition = held.partition
             returning c.parked > 0",
            &[&owner.consumer, &owner.source, &log, &partitions, &old, &new],
        )
        .await?;
    if rows.len() < partitions.len() {
        return Err(Error::new(Kind::Aborted, "CHECKPOINT_MOVED", "another replica was here"));
    }
    Ok(rows.iter().any(|row| row.get(0)))
}

/// Those of the correlations of which something is set aside.
pub(super) async fn parked(
    tx: &mut Tx,
    owner: Owner,
    correlation_ids: &[Uuid],
) -> Result<HashSet<Uuid>, Error> {
    let rows = tx
        .query(
            "select distinct correlation_id from parked
             where consumer = $1 and source = $2 and correlation_id = any ($3)",
            &[&owner.consumer, &owner.source, &correlation_ids],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Sets an event aside.
pub(super) async fn park(tx: &mut Tx, owner: Owner, event: &Parked<'_>) -> Result<(), Error> {
    tx.execute(
        "with parked as (
           insert into parked (consumer, source, position, correlation_id, type, message, error)
           values ($1, $2, $3, $4, $5, $6, $7))
         update checkpoint set parked = parked + 1
         where consumer = $1 and source = $2 and partition = $8",
        &[
            &owner.consumer,
            &owner.source,
            &event.position,
            &event.correlation_id,
            &event.kind,
            &event.message,
            &event.error,
            &super::partition(event.correlation_id),
        ],
    )
    .await?;
    Ok(())
}

/// The correlations that an operator wants applied again.
pub(super) async fn wanted(database: &Database, owner: Owner) -> Result<Vec<Uuid>, Error> {
    let sql = "select distinct correlation_id from parked
         where consumer = $1 and source = $2 and replay";
    let rows = database.read().await?.query(sql, &[&owner.consumer, &owner.source]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes all that is set aside of a correlation, in its order, to be applied in this transaction.
/// Nothing of its partition is applied meanwhile.
pub(super) async fn take(
    tx: &mut Tx,
    owner: Owner,
    correlation_id: Uuid,
) -> Result<Vec<Bytes>, Error> {
    tx.execute(
        "select from checkpoint where consumer = $1 and source = $2 and partition = $3 for update",
        &[&owner.consumer, &owner.source, &super::partition(correlation_id)],
    )
    .await?;
    let rows = tx
        .query(
            "with taken as (
               delete from parked
               where consumer = $1 and source = $2 and correlation_id = $3
               returning position, message),
             counted as (
               update checkpoint set parked = parked - (select count(*) from taken)
               where consumer = $1 and source = $2 and partition = $4)
             select message from taken order by position",
            &[&owner.consumer, &owner.source, &correlation_id, &super::partition(correlation_id)],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get::<_, Vec<u8>>(0).into()).collect())
}

/// It failed again: notes why at the first of them, and waits to be wanted anew.
pub(super) async fn leave(
    database: &Database,
    owner: Owner,
    correlation_id: Uuid,
    error: &Error,
) -> Result<(), Error> {
    let sql = "update parked p set replay = false,
           error = case when position = (
             select min(position) from parked
             where consumer = $1 and source = $2 and correlation_id = $3) then $4 else error end
         where consumer = $1 and source = $2 and correlation_id = $3";
    let error = error.to_string();
    let mut connection = database.read().await?;
    connection.execute(sql, &[&owner.consumer, &owner.source, &correlation_id, &error]).await?;
    Ok(())
}
