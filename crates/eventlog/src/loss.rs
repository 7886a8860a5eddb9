//! Partitions that are stopped, as events were applied here which the source's log
//! has lost. What they had seen last is noted, for operators; one of them accepts the
//! loss, with a reason that is kept, and the consumer goes on after what both have in
//! common. The effects of the lost events are not undone.

use std::time::SystemTime;

use base::{Error, id};
use pg::Database;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{
    checkpoint::{Mark, Owner},
    v1::{LogLoss, Lost},
};

/// Notes a partition that stops.
pub(super) async fn note(
    database: &Database,
    owner: Owner,
    mark: Mark,
    lost: &Lost,
) -> Result<(), Error> {
    let common_id = match lost.common_event_id.as_str() {
        "" => None,
        value => Some(id::parse("common_event_id", value)?),
    };
    let (partition, applied_id) =
        (i16::try_from(lost.partition).unwrap_or_default(), mark.applied_id.unwrap_or_default());
    let sql = "insert into log_loss as l
           (consumer, source, partition, applied, applied_id, common, common_id)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (consumer, source, partition, applied_id)
         do update set common = excluded.common, common_id = excluded.common_id
         where l.accepted_at is null and l.common < excluded.common";
    let Owner { consumer, source } = owner;
    database
        .read()
        .await?
        .execute(
            sql,
            &[&consumer, &source, &partition, &mark.applied, &applied_id, &lost.common, &common_id],
        )
        .await?;
    Ok(())
}

/// Whether a loss was accepted that a checkpoint still stops at.
pub(super) async fn has_accepted(database: &Database, owner: Owner) -> Result<bool, Error> {
    let sql = "select exists (
           select from log_loss l join checkpoint c using (consumer, source, partition, applied_id)
           where l.consumer = $1 and l.source = $2 and l.accepted_at is not null)";
    let row = database.read().await?.query_one(sql, &[&owner.consumer, &owner.source]).await?;
    Ok(row.get(0))
}

/// Puts checkpoints that stop at an accepted loss back to what both have in common.
pub(super) async fn resume_accepted(database: &Database, owner: Owner) -> Result<(), Error> {
    let sql = "with accepted as (
           select consumer, source, partition, applied_id, common, common_id from log_loss
           where consumer = $1 and source = $2 and accepted_at is not null),
         gone as (
           delete from checkpoint c using accepted a
           where c.consumer = $1 and c.source = $2 and c.partition = a.partition
             and c.applied_id = a.applied_id
           returning a.*)
         insert into checkpoint (consumer, source, partition, position, event_id, applied,
           applied_id)
         select consumer, source, partition, common, common_id, common, common_id from gone";
    let Owner { consumer, source } = owner;
    let resumed = database.read().await?.execute(sql, &[&consumer, &source]).await?;
    if resumed > 0 {
        tracing::warn!(consumer, source, partitions = resumed, "accepted losses: resuming");
    }
    Ok(())
}

/// Losses that were found here, the newest first, 1000 at most.
pub async fn list(database: &Database) -> Result<Vec<LogLoss>, Error> {
    let sql = "select consumer, source, partition, applied, applied_id, common, found_at,
           accepted_at, accepted_by, reason
         from log_loss order by found_at desc, consumer, source, partition limit 1000";
    let rows = database.read().await?.query(sql, &[]).await?;
    Ok(rows.iter().map(loss).collect())
}

/// What an operator accepts.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// The service that stopped.
    pub consumer: &'a str,
    /// The service whose log has lost events.
    pub source: &'a str,
    /// Which partitions; none: all that stopped.
    pub partitions: &'a [i16],
    /// Who accepts it.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Accepts losses: the consumer goes on after what both have in common. Answers those accepted now.
pub async fn accept(database: &Database, accept: Accept<'_>) -> Result<Vec<LogLoss>, Error> {
    let Accept { consumer, source, partitions, by, reason } = accept;
    let sql = "update log_loss set accepted_at = now(), accepted_by = $4, reason = $5
         where consumer = $1 and source = $2 and accepted_at is null
           and (cardinality($3::smallint[]) = 0 or partition = any ($3))
         returning consumer, source, partition, applied, applied_id, common, found_at, accepted_at,
           accepted_by, reason";
    let rows =
        database.read().await?.query(sql, &[&consumer, &source, &partitions, &by, &reason]).await?;
    tracing::warn!(consumer, source, partitions = rows.len(), by, reason, "log loss accepted");
    Ok(rows.iter().map(loss).collect())
}

fn loss(row: &Row) -> LogLoss {
    let text = |column: &str| row.get::<_, Option<String>>(column).unwrap_or_default();
    LogLoss {
        consumer: row.get("consumer"),
        source: row.get("source"),
        partition: row.get::<_, i16>("partition").into(),
        position: row.get("applied"),
        event_id: row.get::<_, Uuid>("applied_id").to_string(),
        common: row.get("common"),
        found_time: Some(row.get::<_, SystemTime>("found_at").into()),
        accept_time: row.get::<_, Option<SystemTime>>("accepted_at").map(Into::into),
        accepted_by: text("accepted_by"),
        reason: text("reason"),
    }
}
