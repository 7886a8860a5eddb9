//! Partitions that are stopped because their source's log has lost events, for operators: they accept that,
//! with a reason.

use base::{Error, input};
use eventlog::{
    loss::{self, Accept},
    v1::{
        AcceptLogLossesRequest, AcceptLogLossesResponse, ListLogLossesRequest,
        ListLogLossesResponse,
        log_loss_service_server::{LogLossService, LogLossServiceServer},
    },
};
use pg::Database;
use tonic::{Request, Response, Status};

use super::parked::{REASON, SOURCE};
use crate::Incoming;

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
                losses.extend(loss::list(database).await?);
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
        let partition = |(at, partition): (usize, &i32)| {
            let field = format!("partitions[{at}]");
            let partition = input::number(&field, *partition, &(0..=63))?;
            i16::try_from(partition).map_err(|_| Error::violation(field, "must be 0 to 63"))
        };
        let partitions = message.partitions.iter().enumerate().map(partition);
        let partitions = &partitions.collect::<Result<Vec<_>, _>>()?[..];
        let consumer = &*message.consumer;
        let accept = Accept { consumer, source, partitions, by: &by, reason };
        let losses = loss::accept(database, accept).await?;
        Ok(Response::new(AcceptLogLossesResponse { losses }))
    }
}
