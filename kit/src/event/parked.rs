//! Events that could not be applied, and those behind them: kept in the consumer's
//! own database. Operators look at them, have them replayed, or discard them.
//! Applies nothing itself: the consumer does.

use bytes::Bytes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    checkpoint::Owner,
    v1::{
        DiscardParkedEventsRequest, DiscardParkedEventsResponse, ListParkedEventsRequest,
        ListParkedEventsResponse, ParkedEvent, ReplayParkedEventsRequest,
        ReplayParkedEventsResponse,
        parked_events_server::{ParkedEvents, ParkedEventsServer},
    },
};
use crate::{
    Database, Error, Incoming, Tx, id,
    input::{self, Text},
};

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

/// Serves what the consumers of these services, by name, have parked.
pub(crate) fn serve(databases: Vec<(&'static str, Database)>) -> ParkedEventsServer<Services> {
    ParkedEventsServer::new(Services(databases))
}

/// The services of a process.
pub(crate) struct Services(Vec<(&'static str, Database)>);

impl Services {
    fn database(&self, consumer: &str) -> Result<&Database, Error> {
        let here = self.0.iter().find(|(name, _)| *name == consumer);
        let (_, database) = here.ok_or_else(|| {
            Error::violation("consumer", "must be a service that this process runs")
        })?;
        Ok(database)
    }
}

#[tonic::async_trait]
impl ParkedEvents for Services {
    async fn list(
        &self,
        request: Request<ListParkedEventsRequest>,
    ) -> Result<Response<ListParkedEventsResponse>, Status> {
        let wanted = Incoming::granted(request)?.message.consumer;
        let mut events = Vec::new();
        for (name, database) in &self.0 {
            if wanted.is_empty() || wanted == *name {
                events.extend(list(database).await?);
            }
        }
        Ok(Response::new(ListParkedEventsResponse { events }))
    }

    async fn replay(
        &self,
        request: Request<ReplayParkedEventsRequest>,
    ) -> Result<Response<ReplayParkedEventsResponse>, Status> {
        let message = Incoming::granted(request)?.message;
        let database = self.database(&message.consumer)?;
        let correlation_id = match message.correlation_id.as_str() {
            "" => None,
            correlation_id => Some(id::parse("correlationId", correlation_id)?),
        };
        let events = want(database, &message, correlation_id).await?;
        Ok(Response::new(ReplayParkedEventsResponse { events }))
    }

    async fn discard(
        &self,
        request: Request<DiscardParkedEventsRequest>,
    ) -> Result<Response<DiscardParkedEventsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let by = incoming.operator()?.to_owned();
        let message = incoming.message;
        let database = self.database(&message.consumer)?;
        let correlation_id = id::parse("correlationId", &message.correlation_id)?;
        let source = SOURCE.parse("source", &message.source)?;
        let position = input::number("position", message.position, &(0..=i64::MAX))?;
        let reason = REASON.parse("reason", &message.reason)?;
        let consumer = &message.consumer;
        let events = database
            .read()
            .await?
            .execute(
                "with gone as (
                   delete from parked where consumer = $1 and source = $2
                     and correlation_id = $3 and ($4::bigint = 0 or position = $4)
                   returning consumer, source, position, correlation_id, type, message, error,
                     parked_at)
                 insert into discarded (consumer, source, position, correlation_id, type, message,
                   error, parked_at, discarded_by, reason)
                 select consumer, source, position, correlation_id, type, message, error,
                   parked_at, $5, $6 from gone",
                &[consumer, &source, &correlation_id, &position, &by, &reason],
            )
            .await
            .map_err(Error::from)?;
        tracing::warn!(consumer, source, %correlation_id, events, by, reason, "parked events discarded");
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        Ok(Response::new(DiscardParkedEventsResponse { events }))
    }
}

/// Whose events: the name of a service.
pub(super) const SOURCE: Text = Text::new(1, 100);
/// Why an operator does something that cannot be taken back.
pub(super) const REASON: Text = Text::new(1, 500);

async fn list(database: &Database) -> Result<Vec<ParkedEvent>, Error> {
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

/// Marks what is to be applied again; answers how much that is.
async fn want(
    database: &Database,
    request: &ReplayParkedEventsRequest,
    correlation_id: Option<Uuid>,
) -> Result<i64, Error> {
    let sql = "update parked set replay = true
         where consumer = $1 and ($2 = '' or source = $2)
           and ($3::uuid is null or correlation_id = $3)";
    let mut connection = database.read().await?;
    let marked =
        connection.execute(sql, &[&request.consumer, &request.source, &correlation_id]).await?;
    Ok(i64::try_from(marked).unwrap_or(i64::MAX))
}
