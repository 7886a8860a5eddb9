//! Partitions that are stopped, as events were applied here which the source's log
//! has lost. What they had seen last is noted, for operators; one of them accepts the
//! loss, with a reason that is kept, and the consumer goes on after what both have in
//! common. The effects of the lost events are not undone.

use std::time::SystemTime;

use tokio_postgres::Row;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    checkpoint::{Mark, Owner},
    parked::{REASON, SOURCE},
    v1::{
        AcceptLogLossesRequest, AcceptLogLossesResponse, ListLogLossesRequest,
        ListLogLossesResponse, LogLoss, Lost,
        log_loss_service_server::{LogLossService, LogLossServiceServer},
    },
};
use crate::{Database, Error, Incoming, id, input};

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

/// Serves the losses that the consumers of these services, by name, have found.
pub(crate) fn serve(databases: Vec<(&'static str, Database)>) -> LogLossServiceServer<Losses> {
    LogLossServiceServer::new(Losses(databases))
}

/// The services of a process.
pub(crate) struct Losses(Vec<(&'static str, Database)>);

#[tonic::async_trait]
impl LogLossService for Losses {
    async fn list_log_losses(
        &self,
        request: Request<ListLogLossesRequest>,
    ) -> Result<Response<ListLogLossesResponse>, Status> {
        let wanted = Incoming::granted(request)?.message.consumer;
        let mut losses = Vec::new();
        for (name, database) in &self.0 {
            if wanted.is_empty() || wanted == *name {
                losses.extend(list(database).await?);
            }
        }
        Ok(Response::new(ListLogLossesResponse { losses }))
    }

    async fn accept_log_losses(
        &self,
        request: Request<AcceptLogLossesRequest>,
    ) -> Result<Response<AcceptLogLossesResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let by = incoming.operator()?.to_owned();
        let message = incoming.message;
        let here = self.0.iter().find(|(name, _)| *name == message.consumer);
        let (_, database) = here.ok_or_else(|| {
            Error::violation("consumer", "must be a service that this process runs")
        })?;
        let source = SOURCE.parse("source", &message.source)?;
        let reason = REASON.parse("reason", &message.reason)?;
        input::count("partitions", message.partitions.len(), &(0..=64))?;
        for (at, partition) in message.partitions.iter().enumerate() {
            input::number(&format!("partitions[{at}]"), *partition, &(0..=63))?;
        }
        let request = AcceptLogLossesRequest { source: source.to_owned(), ..message.clone() };
        let losses = accept(database, &request, &by, reason).await?;
        Ok(Response::new(AcceptLogLossesResponse { losses }))
    }
}

async fn list(database: &Database) -> Result<Vec<LogLoss>, Error> {
    let sql = "select consumer, source, partition, applied, applied_id, common, found_at,
           accepted_at, accepted_by, reason
         from log_loss order by found_at desc, consumer, source, partition limit 1000";
    let rows = database.read().await?.query(sql, &[]).await?;
    Ok(rows.iter().map(loss).collect())
}

async fn accept(
    database: &Database,
    request: &AcceptLogLossesRequest,
    by: &str,
    reason: &str,
) -> Result<Vec<LogLoss>, Error> {
    let partitions = request
        .partitions
        .iter()
        .map(|partition| i16::try_from(*partition))
        .collect::<Result<Vec<i16>, _>>()
        .map_err(|_| Error::violation("partitions", "must be 0 to 63"))?;
    let sql = "update log_loss set accepted_at = now(), accepted_by = $4, reason = $5
         where consumer = $1 and source = $2 and accepted_at is null
           and (cardinality($3::smallint[]) = 0 or partition = any ($3))
         returning consumer, source, partition, applied, applied_id, common, found_at, accepted_at,
           accepted_by, reason";
    let (consumer, source) = (&request.consumer, &request.source);
    let rows =
        database.read().await?.query(sql, &[consumer, source, &partitions, &by, &reason]).await?;
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
