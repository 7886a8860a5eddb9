//! Asks a running hansang whether it is well, over the standard gRPC health
//! protocol. For containers, which have no grpcurl.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rpc::outside::{self, Endpoint, ServingStatus};
use tls::Connector;

use crate::{console::say, options::ConfigFile};

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
    #[command(flatten)]
    config: ConfigFile,
}

/// Fails unless the answer is SERVING.
pub(crate) async fn healthcheck(options: &Options) -> Result<()> {
    let settings = options.config.load(Vec::new())?;
    let secure = settings.grpc.tls.cert_path.is_some();
    let tls = if secure { Some(Connector::new(&settings.peers.tls)?) } else { None };
    let limit = Duration::from_millis(options.timeout_ms);
    let endpoint = Endpoint::at(options.grpc, secure);
    let answer = outside::health(&endpoint, tls.as_ref(), &options.service);
    let answer = tokio::time::timeout(limit, answer)
        .await
        .with_context(|| format!("no answer from {} in {limit:?}", options.grpc))?
        .with_context(|| format!("{} at {}", options.service, options.grpc))?;
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
    let answer = outside::health(&Endpoint::at(grpc, false), None, "readiness").await;
    matches!(answer, Ok(ServingStatus::Serving))
}
