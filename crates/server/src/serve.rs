//! One process: the services that it runs, on one gRPC listener.
//!
//! Reads the contracts' access rules, brings the databases up to date, builds
//! the services, then serves until told to stop. Refuses to start with a method
//! that does not say who may call it, or with a database out of reach.

use std::{pin::Pin, sync::Arc, time::Duration};

use base::{Error, Stop};
use eventlog::v1::{
    event_trail_service_server::EventTrailServiceServer,
    log_loss_service_server::LogLossServiceServer, parked_events_server::ParkedEventsServer,
};
use identity::{
    access::{AccessLayer, Rules},
    auth::{Identity, Verifier},
    revocation::{Revoked, Watcher},
};
use pg::{Database, migrate};
use rpc::{Limits, Peer};
use schema::Api;
use settings::Settings;
use tls::Acceptor;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::{
    server::NamedService as _,
    service::{Routes, RoutesBuilder},
    transport,
};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    Service, ServiceBuilder, accept,
    observe::ObserveLayer,
    operators::{
        clock::{self, v1::clock_service_server::ClockServiceServer},
        losses, parked, trail,
    },
    service::Run,
};

/// How often the databases are asked whether they are there.
const PULSE: Duration = Duration::from_secs(2);

/// Services that are ready to be served.
pub struct Server {
    routes: Routes,
    access: AccessLayer,
    runs: Vec<Run>,
    health: HealthReporter,
    parts: Vec<Part>,
    tls: Option<Acceptor>,
    stop: Stop,
    shutdown: Duration,
}

/// A service, as health sees it.
struct Part {
    name: &'static str,
    /// The gRPC services that it serves.
    served: Vec<&'static str>,
    database: Database,
}

impl Part {
    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.served.iter().copied())
    }
}

impl Server {
    /// Gets everything ready; `api` is all that the deployment serves, here or elsewhere.
    pub async fn prepare(
        settings: &Settings,
        services: &[&'static Service],
        api: &'static Api,
        stop: Stop,
    ) -> Result<Self, Error> {
        #[cfg(feature = "testing")]
        if let Some(point) = &settings.testing.die_at {
            base::fail_point::arm(point);
        }
        let verifier = Verifier::new(&settings.auth)?;
        migrate_all(settings, services).await?;

        let (health, health_service) = tonic_health::server::health_reporter();
        let mut routes = RoutesBuilder::default();
        routes.add_service(health_service);
        let (mut runs, mut parts, mut served) = (Vec::new(), Vec::new(), Vec::new());
        for service in services {
            let mut builder = ServiceBuilder::new(service, settings, routes, stop.closing.clone())?;
            (service.build)(&mut builder)?;
            builder.check_section()?;
            served.extend(&builder.served);
            let database = builder.background();
            parts.push(Part { name: service.name, served: builder.served, database });
            runs.extend(builder.runs);
            routes = builder.routes;
        }
        let databases = || parts.iter().map(|part| (part.name, part.database.clone())).collect();
        routes.add_service(parked::serve(databases()));
        routes.add_service(losses::serve(databases()));
        routes.add_service(trail::serve(databases()));
        served.extend([
            ParkedEventsServer::<()>::NAME,
            LogLossServiceServer::<()>::NAME,
            EventTrailServiceServer::<()>::NAME,
        ]);
        if settings.testing.clock {
            let clock = clock::serve(parts.iter().map(|part| part.database.clone()).collect());
            routes.add_service(clock);
            served.push(ClockServiceServer::<()>::NAME);
        }
        let rules = Rules::of(api.access, &served)?;
        add_reflection(&mut routes, api.descriptors, &served)?;
        Ok(Self {
            routes: routes.routes().prepare(),
            access: AccessLayer::new(rules, verifier),
            runs,
            health,
            parts,
            tls: Acceptor::of("grpc.tls", &settings.grpc.tls, &["h2", "http/1.1"])?,
            stop,
            shutdown: settings.deadline.shutdown(),
        })
    }

    /// Refuses the tokens that `issuer` has revoked, the service that issues them; but not in its
    /// own calls, as it decides about them itself.
    pub fn refuse_revoked(
        mut self,
        settings: &Settings,
        issuer: &'static str,
    ) -> Result<Self, Error> {
        let Some(other) = self.parts.iter().find(|part| part.name != issuer) else {
            return Ok(self);
        };
        let identity = Identity::service(other.name, &settings.auth)?;
        // One stream needs one connection.
        let limits = Limits { connections: 1, ..Limits::default() };
        let peer = Peer::of(issuer, &settings.peers, Some(Arc::new(identity.clone())), limits)?;
        let channel = peer.channel();
        let revoked = Revoked::default();
        let watcher = Watcher { revoked: revoked.clone(), issuer, channel, identity };
        self.runs.push(Box::pin(watcher.run(self.stop.closing.clone())));
        let own = self.parts.iter().find(|part| part.name == issuer);
        self.access = self.access.refusing(revoked, own.map_or(&[], |part| &part.served));
        Ok(self)
    }

    /// Serves until told to stop; then finishes what is under way, but not for longer than the
    /// shutdown deadline.
    pub async fn run(self, listener: TcpListener) -> Result<(), Error> {
        let Self { routes, access, runs, health, parts, tls, stop, shutdown } = self;
        let mut tasks = JoinSet::new();
        for run in runs {
            tasks.spawn(run);
        }
        tasks.spawn(pulse(health, parts, stop.told.clone()));

        // Here and not on the builder, which ignores it beside a listener of our own: a small
        // message would wait 40 ms for the acknowledgement of the one before.
        let listener = transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        let serving = transport::Server::builder()
            .accept_http1(true)
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .layer(ObserveLayer)
            .layer(access)
            .add_routes(routes);
        let closing = stop.closing.clone().cancelled_owned();
        let serving: Pin<Box<dyn Future<Output = _> + Send>> = match tls {
            None => Box::pin(serving.serve_with_incoming_shutdown(listener, closing)),
            Some(tls) => {
                let listener = accept::by_tls(listener, tls);
                Box::pin(serving.serve_with_incoming_shutdown(listener, closing))
            }
        };
        let everything = async {
            let serving = async { serving.await.map_err(|e| Error::internal(e.to_string())) };
            tokio::try_join!(serving, watch(&mut tasks, &stop))
        };
        let hard_stop = async {
            stop.closing.cancelled().await;
            tokio::time::sleep(shutdown).await;
        };
        tokio::select! {
            result = everything => result.map(|_| ()),
            () = hard_stop => {
                tracing::warn!("shutdown deadline reached, calls in flight were cut off");
                Ok(())
            }
        }
    }
}

/// Brings the databases of all these services up to date, at once.
pub async fn migrate_all(settings: &Settings, services: &[&'static Service]) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for service in services {
        let (database, name, own) = (settings.database.clone(), service.name, service.migrations);
        tasks.spawn(async move {
            let applied = migrate::migrate(&database, name, own).await?;
            if applied > 0 {
                tracing::info!(service = name, applied, "database migrated");
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Error::internal(error.to_string()))??;
    }
    Ok(())
}

fn add_reflection(
    routes: &mut RoutesBuilder,
    descriptors: &'static [u8],
    served: &[&'static str],
) -> Result<(), Error> {
    let builder = || {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        for name in served {
            builder = builder.with_service_name(*name);
        }
        builder
    };
    let failed = |error: tonic_reflection::server::Error| Error::internal(error.to_string());
    routes.add_service(builder().build_v1().map_err(failed)?);
    routes.add_service(builder().build_v1alpha().map_err(failed)?);
    Ok(())
}

/// Waits for the background work; one that panics ends the process, so that it starts anew.
async fn watch(tasks: &mut JoinSet<()>, stop: &Stop) -> Result<(), Error> {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            stop.now();
            return Err(Error::internal(format!("background work failed: {error}")));
        }
    }
    Ok(())
}

/// Keeps the health answers true: `liveness` always, each service while its database answers,
/// `readiness` and the empty name while all do; none once the process is told to stop.
async fn pulse(health: HealthReporter, parts: Vec<Part>, told: CancellationToken) {
    let mut beat = tokio::time::interval(PULSE);
    health.set_service_status("liveness", ServingStatus::Serving).await;
    while told.run_until_cancelled(beat.tick()).await.is_some() {
        let mut all = true;
        for part in &parts {
            let up = part.database.answers().await;
            all &= up;
            report(&health, part.names(), up).await;
        }
        report(&health, ["", "readiness"], all).await;
    }
    for part in &parts {
        report(&health, part.names(), false).await;
    }
    report(&health, ["", "readiness"], false).await;
}

async fn report(health: &HealthReporter, names: impl IntoIterator<Item = &str>, up: bool) {
    let status = if up { ServingStatus::Serving } else { ServingStatus::NotServing };
    for name in names {
        health.set_service_status(name, status).await;
    }
}
