//! Events that could not be applied, for operators and admins: they look at them, have them replayed, or
//! discard them.

use base::{
    Error, id,
    input::{self, Text},
};
use eventlog::{
    parked::{self, Discard},
    v1::{
        DiscardParkedEventsRequest, DiscardParkedEventsResponse, ListParkedEventsRequest,
        ListParkedEventsResponse, ReplayParkedEventsRequest, ReplayParkedEventsResponse,
        parked_events_server::{ParkedEvents, ParkedEventsServer},
    },
};
use pg::Database;
use tonic::{Request, Response, Status};

use crate::Incoming;

/// Whose events: the name of a service.
pub(super) const SOURCE: Text = Text::new(1, 100);
/// Why an operator does something that cannot be taken back.
pub(super) const REASON: Text = Text::new(1, 500);

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
                events.extend(parked::list(database).await?);
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
        let events =
            parked::replay(database, &message.consumer, &message.source, correlation_id).await?;
        Ok(Response::new(ReplayParkedEventsResponse { events }))
    }

    async fn discard(
        &self,
        request: Request<DiscardParkedEventsRequest>,
    ) -> Result<Response<DiscardParkedEventsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let by = match incoming.member() {
            Ok(admin) => format!("member:{admin}"),
            Err(_) => incoming.operator()?.to_owned(),
        };
        let message = incoming.message;
        let database = self.database(&message.consumer)?;
        let correlation_id = id::parse("correlationId", &message.correlation_id)?;
        let source = SOURCE.parse("source", &message.source)?;
        let position = input::number("position", message.position, &(0..=i64::MAX))?;
        let reason = REASON.parse("reason", &message.reason)?;
        let consumer = &*message.consumer;
        let discard = Discard { consumer, source, correlation_id, position, by: &by, reason };
        let events = parked::discard(database, discard).await?;
        let events = i64::try_from(events).unwrap_or(i64::MAX);
        Ok(Response::new(DiscardParkedEventsResponse { events }))
    }
}
