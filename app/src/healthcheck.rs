//! Asks a running hansang whether it is well, over the standard gRPC health
//! protocol. For containers, which have no grpcurl.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::console::say;

/// Whom to ask, and about what.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Where the services listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    grpc: SocketAddr,
    /// A service (order), liveness, or readiness
    #[arg(long, value_name = "NAME", default_value = "readiness")]
    service: String,
    /// How long to wait for the answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2_000)]
    timeout_ms: u64,
}

/// Fails unless the answer is SERVING.
pub(crate) async fn healthcheck(options: &Options) -> Result<()> {
    let limit = Duration::from_millis(options.timeout_ms);
    let answer = tokio::time::timeout(limit, ask(options.grpc, &options.service))
        .await
        .with_context(|| format!("no answer from {} in {limit:?}", options.grpc))??;
    match answer {
        ServingStatus::Serving => {
            say(format_args!("{}: serving", options.service));
            Ok(())
        }
        other => bail!("{}: {}", options.service, other.as_str_name()),
    }
}

/// Whether the process that listens there is ready.
pub(crate) async fn is_ready(grpc: SocketAddr) -> bool {
    matches!(ask(grpc, "readiness").await, Ok(ServingStatus::Serving))
}

async fn ask(grpc: SocketAddr, service: &str) -> Result<ServingStatus> {
    let endpoint = Endpoint::from_shared(format!("http://{grpc}"))?;
    let Ok(channel) = endpoint.connect().await else {
        bail!("nothing answers at {grpc}");
    };
    let request = HealthCheckRequest { service: service.to_owned() };
    match HealthClient::new(channel).check(request).await {
        Ok(response) => Ok(response.into_inner().status()),
        Err(status) => bail!("{service}: {}", status.message()),
    }
}
