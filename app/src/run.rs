//! Which parts of the deployment run in this process, and running them: one gRPC
//! listener for all services, one HTTP listener for the gateway and the pages beside it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use base::Stop;
use gateway::Gateway;
use ops::Ops;
use server::{Server, Service};
use settings::{PeerSettings, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use web::Web;

use crate::console::say;

/// Every service there is.
pub const SERVICES: &[&Service] = &[
    &coupon::SERVICE,
    &delivery::SERVICE,
    &member::SERVICE,
    &mileage::SERVICE,
    &mypage::SERVICE,
    &notification::SERVICE,
    &order::SERVICE,
    &payment::SERVICE,
    &product::SERVICE,
];

/// The service that issues members' tokens: all others refuse those that it has revoked.
const ISSUER: &Service = &member::SERVICE;

/// What the gateway is called among the services.
pub(crate) const GATEWAY: &str = "gateway";
/// What the shop's pages are called among the services.
pub(crate) const WEB: &str = web::NAME;

/// The parts that run here.
pub struct Selection {
    /// The services, each once.
    pub services: Vec<&'static Service>,
    /// Whether the gateway runs here too.
    pub gateway: bool,
    /// Whether the shop's pages are beside the gateway.
    pub web: bool,
}

impl Selection {
    /// Everything.
    pub fn all() -> Self {
        Self { services: SERVICES.to_vec(), gateway: true, web: true }
    }

    /// Parts by name; no name means all.
    pub fn parse(names: &[String]) -> Result<Self> {
        if names.is_empty() {
            return Ok(Self::all());
        }
        let runs = |part: &str| names.iter().any(|name| name == part);
        let known = |name: &String| {
            name == GATEWAY || name == WEB || SERVICES.iter().any(|service| service.name == name)
        };
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            let all: Vec<_> = SERVICES.iter().map(|service| service.name).collect();
            bail!(
                "--run {unknown}: there is no such part; there are {}, {GATEWAY}, {WEB}",
                all.join(", ")
            );
        }
        if runs(WEB) && !runs(GATEWAY) {
            bail!(
                "--run {WEB}: the pages are beside the gateway, on its listener; run both in one \
                 process: --run {GATEWAY},{WEB}"
            );
        }
        let chosen = |service: &&&Service| runs(service.name);
        Ok(Self {
            services: SERVICES.iter().filter(chosen).copied().collect(),
            gateway: runs(GATEWAY),
            web: runs(WEB),
        })
    }

    /// What the process is called by what it tells: its one part, or all of them.
    fn name(&self) -> &'static str {
        match (&self.services[..], self.gateway) {
            ([one], false) => one.name,
            ([], true) => GATEWAY,
            _ => "hansang",
        }
    }

    fn is_all(&self) -> bool {
        self.services.len() == SERVICES.len()
    }
}

/// The places where the process listens: taken first, so that a port in use is found out at once.
#[derive(Debug)]
pub struct Listeners {
    grpc: TcpListener,
    http: Option<TcpListener>,
}

impl Listeners {
    /// Takes the ports of the settings.
    pub async fn bind(settings: &Settings, gateway: bool) -> Result<Self> {
        let grpc = bind(settings.grpc.listen, "--grpc").await?;
        let http = if gateway { Some(bind(settings.http.listen, "--http").await?) } else { None };
        Ok(Self { grpc, http })
    }

    /// Where the services can be reached from this machine.
    pub fn grpc(&self) -> Result<SocketAddr> {
        reachable(&self.grpc)
    }

    /// Where the gateway can be reached from this machine.
    pub fn http(&self) -> Result<Option<SocketAddr>> {
        self.http.as_ref().map(reachable).transpose()
    }
}

fn reachable(listener: &TcpListener) -> Result<SocketAddr> {
    let mut address = listener.local_addr().context("a listener without an address")?;
    if address.ip().is_unspecified() {
        let loopback: std::net::IpAddr = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    Ok(address)
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "port {} is taken: another program listens on {address}; choose another with {flag}",
            address.port()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address} ({flag})")),
    })
}

/// Parts that are ready to run.
pub struct Deployment {
    server: Server,
    /// And the pages beside it.
    gateway: Option<(Gateway, Ops, Option<Web>)>,
    listeners: Listeners,
    /// Of the gateway: it goes first, since what it has under way needs the services.
    stop: Stop,
    /// Of the services.
    behind: Stop,
}

impl Deployment {
    /// Brings the databases up to date and builds the parts.
    pub async fn prepare(
        settings: &Settings,
        selection: &Selection,
        listeners: Listeners,
        stop: CancellationToken,
    ) -> Result<Self> {
        let stop = Stop::after(stop, settings.deadline.drain());
        let behind = Stop { told: stop.told.clone(), closing: CancellationToken::new() };
        let server =
            Server::prepare(settings, &selection.services, &contracts::API, behind.clone())
                .await?
                .refuse_revoked(settings, ISSUER.name)?;
        let gateway = if selection.gateway {
            let gateway = Gateway::new(settings)?;
            let ops = Ops::new(settings, gateway.services())?;
            let web =
                if selection.web { Some(Web::new(settings, gateway.services())?) } else { None };
            Some((gateway, ops, web))
        } else {
            None
        };
        Ok(Self { server, gateway, listeners, stop, behind })
    }

    /// Serves until told to stop, and what is under way is done. When the services fail, all stops.
    pub async fn run(self) -> Result<()> {
        let Self { server, gateway, listeners, stop, behind } = self;
        let services = async {
            let done = server.run(listeners.grpc).await;
            stop.now();
            done
        };
        let gateway = async {
            match (gateway, listeners.http) {
                (Some((gateway, ops, web)), Some(listener)) => {
                    let pages = |api: gateway::Api| {
                        let pages = ops.pages(api.clone());
                        match web {
                            Some(web) => pages.merge(web.pages(web::Api::new(api))),
                            None => pages,
                        }
                    };
                    gateway.serve(listener, stop.clone(), pages).await;
                }
                _ => stop.closing.cancelled().await,
            }
            behind.closing.cancel();
        };
        let (services, ()) = tokio::join!(services, gateway);
        Ok(services?)
    }
}

/// `hansang serve`: runs the selection on databases that are there.
pub async fn serve(
    mut settings: Settings,
    selection: &Selection,
    stop: CancellationToken,
) -> Result<()> {
    telemetry::init(&settings.telemetry, selection.name())?;
    one_database_each(&settings)?;
    let listeners = Listeners::bind(&settings, selection.gateway).await?;
    if settings.grpc.tls.cert_path.is_some() && tls::Connector::of(&settings.peers)?.is_none() {
        bail!("grpc.tls: peers.template must say where the services are, by https");
    }
    if selection.is_all() && settings.peers.template == PeerSettings::default().template {
        settings.peers.template = format!("http://{}", listeners.grpc()?);
    }
    Deployment::prepare(&settings, selection, listeners, stop).await?.run().await
}

/// `hansang migrate`: brings the databases of the selection up to date.
pub async fn migrate(settings: &Settings, selection: &Selection) -> Result<()> {
    telemetry::init(&settings.telemetry, selection.name())?;
    one_database_each(settings)?;
    server::migrate_all(settings, &selection.services).await?;
    for service in &selection.services {
        say(format_args!("{}: up to date", service.name));
    }
    Ok(())
}

fn one_database_each(settings: &Settings) -> Result<()> {
    if !settings.database.url.expose().contains("{service}") {
        bail!(
            "database.url must contain {{service}}: each service has a database and a role of its \
             own (`hansang up` creates them on a server that it is given)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(names: &[&str]) -> Result<Selection> {
        Selection::parse(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn no_name_means_everything() {
        let all = parse(&[]).unwrap();
        assert!(all.is_all() && all.gateway && all.web);
    }

    #[test]
    fn a_service_runs_once_however_often_it_is_named() {
        let some = parse(&["order", "order", "gateway"]).unwrap();
        assert_eq!(some.services.len(), 1);
        assert!(some.gateway && !some.web);
    }

    #[test]
    fn pages_are_beside_a_gateway() {
        let both = parse(&["gateway", "web"]).unwrap();
        assert!(both.gateway && both.web && both.services.is_empty());
        let Err(refusal) = parse(&["web"]) else { panic!("took pages without a gateway") };
        assert!(refusal.to_string().contains("--run gateway,web"), "{refusal}");
    }

    #[test]
    fn an_unknown_part_is_refused_with_those_that_there_are() {
        let Err(refusal) = parse(&["oder"]) else { panic!("took an unknown part") };
        assert!(refusal.to_string().contains("order, payment"), "{refusal}");
    }
}
