//! The call that moves the clocks of a process's services, served only where `testing.clock` says so.

use std::time::Duration;

use base::Error;
use pg::{Database, clock::advance};
use tonic::{Request, Response, Status};

use self::v1::{
    AdvanceRequest, AdvanceResponse,
    clock_service_server::{ClockService, ClockServiceServer},
};
use crate::Incoming;

/// The contract of the call.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated from clock_service.proto"
)]
pub mod v1 {
    tonic::include_proto!("hansang.clock.v1");
}

/// The furthest that one call moves the clock.
const FURTHEST: Duration = Duration::from_hours(10 * 365 * 24);

/// Serves the call that moves the clocks of these databases.
pub(crate) fn serve(databases: Vec<Database>) -> ClockServiceServer<Clocks> {
    ClockServiceServer::new(Clocks(databases))
}

/// The clocks of a process: one per database.
pub(crate) struct Clocks(Vec<Database>);

#[tonic::async_trait]
impl ClockService for Clocks {
    async fn advance(
        &self,
        request: Request<AdvanceRequest>,
    ) -> Result<Response<AdvanceResponse>, Status> {
        let by = distance(&Incoming::granted(request)?.message)?;
        for database in &self.0 {
            advance(database, by).await?;
        }
        tracing::warn!(?by, "the testing clock was moved");
        Ok(Response::new(AdvanceResponse {}))
    }
}

fn distance(request: &AdvanceRequest) -> Result<Duration, Error> {
    let by = request.duration.and_then(|duration| Duration::try_from(duration).ok());
    by.filter(|by| *by > Duration::ZERO && *by <= FURTHEST)
        .ok_or_else(|| Error::violation("duration", "must be more than 0 and at most ten years"))
}
