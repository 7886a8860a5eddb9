//! What the logs of a process's services say of something, for the service that puts it together.

use base::{Error, id, input};
use eventlog::{
    trail,
    v1::{
        ListTrailRequest, ListTrailResponse,
        event_trail_service_server::{EventTrailService, EventTrailServiceServer},
    },
};
use pg::Database;
use tonic::{Request, Response, Status};

use crate::Incoming;

/// Serves what the logs of these services, by name, say.
pub(crate) fn serve(databases: Vec<(&'static str, Database)>) -> EventTrailServiceServer<Trails> {
    EventTrailServiceServer::new(Trails(databases))
}

/// The services of a process.
pub(crate) struct Trails(Vec<(&'static str, Database)>);

#[tonic::async_trait]
impl EventTrailService for Trails {
    async fn list_trail(
        &self,
        request: Request<ListTrailRequest>,
    ) -> Result<Response<ListTrailResponse>, Status> {
        let message = Incoming::granted(request)?.message;
        let here = self.0.iter().find(|(name, _)| *name == message.service);
        let (_, database) = here.ok_or_else(|| {
            Error::violation("service", "must be a service that this process runs")
        })?;
        let ids = &message.correlation_ids;
        input::count("correlationIds", ids.len(), &(1..=10))?;
        let parse =
            |(at, text): (usize, &String)| id::parse(&format!("correlationIds[{at}]"), text);
        let ids = ids.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Response::new(ListTrailResponse { events: trail::list(database, &ids).await? }))
    }
}
