//! Events that could not be applied, and those behind them: kept in the consumer's
//! own database. Operators look at them, have them replayed, or discard them.
//! Applies nothing itself: the consumer does.

use base::Error;
use bytes::Bytes;
use pg::{Database, Tx};
use uuid::Uuid;

use super::{checkpoint::Owner, v1::ParkedEvent};

/// An event to be parked.
pub(super) struct Parked<'a> {
    pub(super) position: i64,
    pub(super) correlation_id: Uuid,
    pub(super) kind: &'a str,
    pub(super) message: &'a [u8],
    /// Why; none for what only stands behind another.
    pub(super) error: Option<String>,
}

/// How many events of its source a consumer has parked.
pub(super) async fn count(database: &Database, owner: Owner) -> Result<i64, Error> {
    let sql = "select count(*) from parked where consumer = $1 and source = $2";
    let row = database.read().await?.query_one(sql, &[&owner.consumer, &owner.source]).await?;
    Ok(row.get(0))
}

/// Whether anything of these correlations is parked.
pub(super) async fn any(
    tx: &mut Tx,
    owner: Owner,
    correlation_ids: &[Uuid],
) -> Result<bool, Error> {
    let sql = "select exists (select from parked
         where consumer = $1 and source = $2 and correlation_id = any ($3))";
    let row = tx.query_one(sql, &[&owner.consumer, &owner.source, &correlation_ids]).await?;
    Ok(row.get(0))
}

/// Parks an event.
pub(super) async fn park(tx: &mut Tx, owner: Owner, event: &Parked<'_>) -> Result<(), Error> {
    tx.execute(
        "insert into parked (consumer, source, position, correlation_id, type, message, error)
         values ($1, $2, $3, $4, $5, $6, $7)",
        &[
            &owner.consumer,
            &owner.source,
            &event.position,
            &event.correlation_id,
            &event.kind,
            &event.message,
            &event.error,
        ],
    )
    .await?;
    Ok(())
}

/// The correlations that an operator wants replayed.
pub(super) async fn wanted(database: &Database, owner: Owner) -> Result<Vec<Uuid>, Error> {
    let sql = "select distinct correlation_id from parked
         where consumer = $1 and source = $2 and replay";
    let rows = database.read().await?.query(sql, &[&owner.consumer, &owner.source]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes all that is parked of a correlation, in its order, to be applied in this transaction.
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
               returning position, message)
             select message from taken order by position",
            &[&owner.consumer, &owner.source, &correlation_id],
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

/// What is parked here, the oldest first, 1000 at most.
pub async fn list(database: &Database) -> Result<Vec<ParkedEvent>, Error> {
    let sql = "select consumer, source, position, correlation_id, type, error, parked_at, replay
         from parked order by parked_at, position limit 1000";
    let rows = database.read().await?.query(sql, &[]).await?;
    let event = |row: &tokio_postgres::Row| ParkedEvent {
        consumer: row.get(0),
        source: row.get(1),
        position: row.get(2),
        correlation_id: row.get::<_, Uuid>(3).to_string(),
        r#type: row.get(4),
        error: row.get::<_, Option<String>>(5).unwrap_or_default(),
        park_time: Some(row.get::<_, std::time::SystemTime>(6).into()),
        replaying: row.get(7),
    };
    Ok(rows.iter().map(event).collect())
}

/// Marks what is to be applied again, of one correlation or all, of one source or, where that is empty,
/// all; answers how much that is.
pub async fn replay(
    database: &Database,
    consumer: &str,
    source: &str,
    correlation_id: Option<Uuid>,
) -> Result<i64, Error> {
    let sql = "update parked set replay = true
         where consumer = $1 and ($2 = '' or source = $2)
           and ($3::uuid is null or correlation_id = $3)";
    let mut connection = database.read().await?;
    let marked = connection.execute(sql, &[&consumer, &source, &correlation_id]).await?;
    Ok(i64::try_from(marked).unwrap_or(i64::MAX))
}

/// What an operator gives up.
#[derive(Clone, Copy, Debug)]
pub struct Discard<'a> {
    /// The service that has parked it.
    pub consumer: &'a str,
    /// The service whose event it is.
    pub source: &'a str,
    /// What it concerns.
    pub correlation_id: Uuid,
    /// Its position in the source's log; 0: all of the correlation.
    pub position: i64,
    /// Who gives it up.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Discards parked events; what they were, who did it and why is kept. Answers how many.
pub async fn discard(database: &Database, discard: Discard<'_>) -> Result<u64, Error> {
    let Discard { consumer, source, correlation_id, position, by, reason } = discard;
    let sql = "with gone as (
           delete from parked where consumer = $1 and source = $2
             and correlation_id = $3 and ($4::bigint = 0 or position = $4)
           returning consumer, source, position, correlation_id, type, message, error,
             parked_at)
         insert into discarded (consumer, source, position, correlation_id, type, message,
           error, parked_at, discarded_by, reason)
         select consumer, source, position, correlation_id, type, message, error,
           parked_at, $5, $6 from gone";
    let mut connection = database.read().await?;
    let events = connection
        .execute(sql, &[&consumer, &source, &correlation_id, &position, &by, &reason])
        .await?;
    tracing::warn!(consumer, source, %correlation_id, events, by, reason, "parked events discarded");
    Ok(events)
}
