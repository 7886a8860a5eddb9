//! What was set aside, for operators: to look at, and to have applied again. Applies
//! nothing itself: the consumer does.

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::v1::{
    ListParkedEventsRequest, ListParkedEventsResponse, ParkedEvent, ReplayParkedEventsRequest,
    ReplayParkedEventsResponse,
    parked_events_server::{ParkedEvents, ParkedEventsServer},
};
use crate::{Database, Error, Incoming, id};

/// Serves what the consumers of these services, by name, have set aside.
pub(crate) fn serve(databases: Vec<(&'static str, Database)>) -> ParkedEventsServer<Parked> {
    ParkedEventsServer::new(Parked(databases))
}

/// The services of a process.
pub(crate) struct Parked(Vec<(&'static str, Database)>);

#[tonic::async_trait]
impl ParkedEvents for Parked {
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
        let here = self.0.iter().find(|(name, _)| *name == message.consumer);
        let (_, database) = here.ok_or_else(|| {
            Error::violation("consumer", "must be a service that this process runs")
        })?;
        let correlation_id = match message.correlation_id.as_str() {
            "" => None,
            correlation_id => Some(id::parse("correlationId", correlation_id)?),
        };
        let events = want(database, &message, correlation_id).await?;
        Ok(Response::new(ReplayParkedEventsResponse { events }))
    }
}

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
