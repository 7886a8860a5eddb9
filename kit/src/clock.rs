//! The service's time: the database's, so that all replicas agree, and in a test
//! as far ahead of it as the test has moved it. What is due goes by it; events,
//! tokens and idempotency keys keep the real time.
//!
//! In SQL it is `clock_now()`. It is moved by a call that is served only where
//! `testing.clock` says so.

use std::time::{Duration, SystemTime};

use tonic::{Request, Response, Status};

use self::v1::{
    AdvanceRequest, AdvanceResponse,
    clock_service_server::{ClockService, ClockServiceServer},
};
use crate::{Database, Error, Incoming, Tx};

/// The contract of the call, as compiled for the kit's own use.
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

/// What time it is in this transaction.
pub async fn now(tx: &mut Tx) -> Result<SystemTime, Error> {
    Ok(tx.query_one("select clock_now()", &[]).await?.get(0))
}

/// Serves the call that moves the clocks of these databases.
pub(crate) fn serve(databases: Vec<Database>) -> ClockServiceServer<Clocks> {
    ClockServiceServer::new(Clocks(databases))
}

/// The clocks of a process: one a database.
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
        tracing::warn!(?by, "the clock was moved");
        Ok(Response::new(AdvanceResponse {}))
    }
}

async fn advance(database: &Database, by: Duration) -> Result<(), Error> {
    let sql = "update clock set ahead = ahead + $1 * interval '1 second'";
    database.read().await?.execute(sql, &[&by.as_secs_f64()]).await?;
    Ok(())
}

fn distance(request: &AdvanceRequest) -> Result<Duration, Error> {
    let by = request.duration.and_then(|duration| Duration::try_from(duration).ok());
    by.filter(|by| *by > Duration::ZERO && *by <= FURTHEST)
        .ok_or_else(|| Error::violation("duration", "must be more than 0 and at most ten years"))
}
