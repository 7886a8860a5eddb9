//! `hansang log` and `hansang parked`: what operators do about events that were lost
//! or could not be applied. Calls the services with an operator's token, signed here;
//! decides nothing itself.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use contracts::event::v1::{
    AcceptLogLossesRequest, DiscardParkedEventsRequest, ListLogLossesRequest,
    ListParkedEventsRequest, LogLoss, ReplayParkedEventsRequest, log_loss_service, parked_events,
};
use identity::auth::Identity;
use prost::Message;
use rpc::{Limits, Peer};
use schema::Unary;

use crate::{console::say, options::ConfigFile, run, token};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the services are, and who asks.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Where the services listen [default: the `peers` of the settings]
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<SocketAddr>,
    /// Your name, which is recorded
    #[arg(long, value_name = "NAME", default_value = "operator", value_parser = NonEmptyStringValueParser::new())]
    operator: String,
    /// Data directory of `hansang up`, to find the key if the settings have none
    #[arg(long, value_name = "DIR", default_value = ".hansang")]
    data_dir: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
}

/// What to do about lost parts of event logs.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// List events that consumers have applied and their sources have lost, including accepted losses
    Losses {
        /// Only of this consumer, by its service's name [default: all]
        #[arg(long, value_name = "SERVICE")]
        consumer: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Accept a loss: the stopped partitions resume after the last event that both have in common
    Accept {
        /// The service that has applied the lost events
        #[arg(long, value_name = "SERVICE")]
        consumer: String,
        /// The service whose log has lost them
        #[arg(long, value_name = "SERVICE")]
        source: String,
        /// Only these partitions, separated by commas [default: all that are stopped]
        #[arg(long, value_name = "PARTITIONS", value_delimiter = ',')]
        partitions: Vec<i32>,
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What to do about parked events.
#[derive(Debug, Subcommand)]
pub(crate) enum Parked {
    /// List parked events
    List {
        /// Only of this consumer, by its service's name [default: all]
        #[arg(long, value_name = "SERVICE")]
        consumer: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Apply parked events again, by correlation and in order
    Replay {
        /// The service that has parked them
        #[arg(long, value_name = "SERVICE")]
        consumer: String,
        /// Only events of this service
        #[arg(long, value_name = "SERVICE", default_value = "")]
        source: String,
        /// Only of this correlation (an order, a member, a product)
        #[arg(long, value_name = "ID", default_value = "")]
        correlation: String,
        #[command(flatten)]
        place: Place,
    },
    /// Discard parked events; they are kept, but never applied
    Discard {
        /// The service that has parked them
        #[arg(long, value_name = "SERVICE")]
        consumer: String,
        /// The service whose events they are
        #[arg(long, value_name = "SERVICE")]
        source: String,
        /// What they concern (an order, a member, a product)
        #[arg(long, value_name = "ID")]
        correlation: String,
        /// Only the event at this position [default: all of the correlation]
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        position: i64,
        /// The reason, which is recorded
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
}

/// `hansang log`.
pub(crate) async fn log(command: Log) -> Result<()> {
    match command {
        Log::Losses { consumer, place } => {
            let losses = place.losses(consumer.as_deref()).await?;
            if losses.is_empty() {
                say("no log has lost anything that was applied");
            }
            losses.iter().for_each(print);
            Ok(())
        }
        Log::Accept { consumer, source, partitions, reason, place } => {
            let request =
                AcceptLogLossesRequest { consumer: consumer.clone(), source, partitions, reason };
            let method = log_loss_service::ACCEPT_LOG_LOSSES;
            let answer = place.ask(&consumer, method, &request).await?;
            if answer.losses.is_empty() {
                bail!(
                    "no partition of {consumer} is stopped for that source; nothing was accepted"
                );
            }
            answer.losses.iter().for_each(print);
            Ok(())
        }
    }
}

/// `hansang parked`.
pub(crate) async fn parked(command: Parked) -> Result<()> {
    match command {
        Parked::List { consumer, place } => place.parked(consumer.as_deref()).await,
        Parked::Replay { consumer, source, correlation, place } => {
            let request = ReplayParkedEventsRequest {
                consumer: consumer.clone(),
                source,
                correlation_id: correlation,
            };
            let method = parked_events::REPLAY;
            let answer = place.ask(&consumer, method, &request).await?;
            say(format_args!("{} events will be applied again within seconds", answer.events));
            Ok(())
        }
        Parked::Discard { consumer, source, correlation, position, reason, place } => {
            let request = DiscardParkedEventsRequest {
                consumer: consumer.clone(),
                source,
                correlation_id: correlation,
                position,
                reason,
            };
            let method = parked_events::DISCARD;
            let answer = place.ask(&consumer, method, &request).await?;
            if answer.events == 0 {
                bail!("nothing like that is parked at {consumer}; nothing was discarded");
            }
            say(format_args!("{} events discarded", answer.events));
            Ok(())
        }
    }
}

impl Place {
    /// Losses of one consumer, or of all.
    async fn losses(&self, consumer: Option<&str>) -> Result<Vec<LogLoss>> {
        let mut losses = Vec::new();
        for service in services(consumer) {
            let request = ListLogLossesRequest { consumer: service.to_owned() };
            let method = log_loss_service::LIST_LOG_LOSSES;
            let answer = self.ask(service, method, &request).await?;
            losses.extend(answer.losses);
        }
        Ok(losses)
    }

    async fn parked(&self, consumer: Option<&str>) -> Result<()> {
        let mut nothing = true;
        for service in services(consumer) {
            let request = ListParkedEventsRequest { consumer: service.to_owned() };
            let method = parked_events::LIST;
            let answer = self.ask(service, method, &request).await?;
            for event in answer.events {
                nothing = false;
                let why =
                    if event.error.is_empty() { "behind an earlier one" } else { &event.error };
                say(format_args!(
                    "{} parked {} of {} at {}, correlation {}: {why}",
                    event.consumer,
                    event.r#type,
                    event.source,
                    event.position,
                    event.correlation_id
                ));
            }
        }
        if nothing {
            say("nothing is parked");
        }
        Ok(())
    }

    /// Calls a process that runs `service`.
    async fn ask<Q: Message, R: Message + Default>(
        &self,
        service: &str,
        method: Unary<Q, R>,
        request: &Q,
    ) -> Result<R> {
        let known = run::SERVICES.iter().find(|known| known.name == service);
        let name = known.with_context(|| format!("there is no service {service}"))?.name;
        let settings = self.config.load(Vec::new())?;
        let auth = token::with_key(settings.auth.clone(), &self.data_dir)?;
        let mut peers = settings.peers;
        if let Some(address) = self.grpc {
            let scheme = if settings.grpc.tls.cert_path.is_some() { "https" } else { "http" };
            peers.overrides.insert(name.to_owned(), format!("{scheme}://{address}"));
        }
        let address = peers.address(name);
        let operator = Identity::operator(&self.operator, &auth)?;
        let peer = Peer::of(name, &peers, Some(Arc::new(operator)), Limits::default())?;
        peer.unary(method, request, PATIENCE).await.map_err(|failure| {
            anyhow::anyhow!("{name} at {address}: {}", failure.status().message())
        })
    }
}

fn services(one: Option<&str>) -> Vec<&str> {
    one.map_or_else(|| run::SERVICES.iter().map(|service| service.name).collect(), |one| vec![one])
}

fn print(loss: &LogLoss) {
    let LogLoss { consumer, source, partition, position, event_id, common, .. } = loss;
    let state = match loss.reason.as_str() {
        "" => "stopped".to_owned(),
        reason => format!("accepted by {}: {reason}", loss.accepted_by),
    };
    say(format_args!(
        "{consumer} applied event {event_id} of {source} at {position} (partition {partition}), \
         which {source} has lost; the last position in common is {common}; {state}"
    ));
}
