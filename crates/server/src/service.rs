//! A service is a row: a name, its migrations, and how it is built.
//!
//! `build` is the one place where a service is wired, top to bottom; everything
//! that all services have in common is put around it by `server`.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::{Error, error::configuration};
use eventlog::{Bearer, Consumer, Feed, Log, Policy};
use identity::auth::Identity;
use pg::{Database, task};
use rpc::{Limits, Peer};
use schema::Events;
use serde::de::DeserializeOwned;
use settings::{PeerSettings, Settings};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, server::NamedService, service::RoutesBuilder};

/// How often a service's database is looked at for its metrics.
const MEASURE: Duration = Duration::from_secs(10);

/// What a service is.
pub struct Service {
    /// Its name: of its database, its peers, its `--run`.
    pub name: &'static str,
    /// Its tables; see [`pg::migrations!`].
    pub migrations: pg::Migrations,
    /// Its wiring.
    pub build: fn(&mut ServiceBuilder<'_>) -> Result<(), Error>,
}

/// Work that goes on for as long as the service runs.
pub(crate) type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a service is built.
pub struct ServiceBuilder<'a> {
    name: &'static str,
    settings: &'a Settings,
    database: Database,
    identity: Identity,
    stop: CancellationToken,
    /// Whether the service has read its own section of the configuration.
    told: bool,
    pub(crate) routes: RoutesBuilder,
    pub(crate) served: Vec<&'static str>,
    pub(crate) runs: Vec<Run>,
}

impl<'a> ServiceBuilder<'a> {
    pub(crate) fn new(
        service: &Service,
        settings: &'a Settings,
        routes: RoutesBuilder,
        stop: CancellationToken,
    ) -> Result<Self, Error> {
        let database = Database::new(&settings.database, service.name)?;
        let identity = Identity::service(service.name, &settings.auth)?;
        let forget = pg::idempotency::forget_old_keys(database.background(), stop.clone());
        Ok(Self {
            name: service.name,
            settings,
            database,
            identity,
            stop,
            told: false,
            routes,
            served: Vec::new(),
            runs: vec![Box::pin(forget)],
        })
    }

    /// The service's own database.
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// The service's own database, for work that no caller waits for.
    pub fn background(&self) -> Database {
        self.database.background()
    }

    /// The configuration.
    pub fn settings(&self) -> &Settings {
        self.settings
    }

    /// Cancelled when the process is told to stop: open streams end then.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The service's own section of the configuration, `[service.<name>]`; the default where there
    /// is none. `T` denies unknown fields, and has a default for each.
    pub fn own_settings<T: DeserializeOwned + Default>(&mut self) -> Result<T, Error> {
        self.told = true;
        self.settings.own(self.name)
    }

    /// Refuses a section that the service, built by now, has not read.
    pub(crate) fn check_section(&self) -> Result<(), Error> {
        if !self.told && self.settings.service.contains_key(self.name) {
            let name = self.name;
            return Err(configuration(format!("service.{name}: it has no settings of its own")));
        }
        Ok(())
    }

    /// Another service, to call. Calls carry this service's own token.
    pub fn peer(&self, service: &'static str) -> Result<Peer, Error> {
        let PeerSettings { connections, .. } = self.settings.peers;
        self.peer_with(service, Limits { connections, ..Limits::default() })
    }

    fn peer_with(&self, service: &'static str, limits: Limits) -> Result<Peer, Error> {
        let identity = Arc::new(self.identity.clone());
        Peer::of(service, &self.settings.peers, Some(identity), limits)
    }

    /// Serves a gRPC service.
    pub fn serve<S>(&mut self, service: S) -> &mut Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.served.push(S::NAME);
        self
    }

    /// Publishes the service's events: runs the sequencer, serves subscriptions.
    pub fn publish<E: Events>(&mut self) -> &mut Self {
        let log = Log::open(self.background());
        let feed = Feed::<E>::new(log.clone(), self.stop.clone());
        self.run(log.run(self.stop.clone()));
        self.serve(feed)
    }

    /// Applies a policy to the events of another service.
    pub fn follow<E: Events, P: Policy<E>>(&mut self, policy: P) -> Result<&mut Self, Error> {
        // One stream needs one connection.
        let limits = Limits { connections: 1, ..Limits::default() };
        let channel = self.peer_with(E::SERVICE, limits)?.channel();
        let identity = self.identity.clone();
        let bearer: Bearer = Arc::new(move || identity.bearer(SystemTime::now()).ok());
        let consumer = Consumer::new(self.name, self.background(), channel, bearer, policy);
        Ok(self.run(consumer.run(self.stop.clone())))
    }

    /// Carries out the service's durable tasks. What the handler does with a database goes by
    /// [`background`](Self::background), too.
    pub fn work<H: task::Handler>(&mut self, handler: H) -> &mut Self {
        self.measure(task::measure);
        let worker = task::Worker::new(self.background(), handler);
        self.run(worker.run(self.stop.clone()))
    }

    /// Looks at the service's database every few seconds, for its metrics. While it is away, they
    /// stay as they were.
    pub fn measure<F>(&mut self, look: impl Fn(Database) -> F + Send + 'static) -> &mut Self
    where
        F: Future<Output = Result<(), Error>> + Send,
    {
        let (service, database, stop) = (self.name, self.background(), self.stop.clone());
        self.run(async move {
            let (mut beat, mut failing) = (tokio::time::interval(MEASURE), false);
            while stop.run_until_cancelled(beat.tick()).await.is_some() {
                let looked = look(database.clone()).await;
                if let Err(error) = &looked
                    && !failing
                {
                    tracing::warn!(%error, service, "database metrics not measured, retrying later");
                }
                failing = looked.is_err();
            }
        })
    }

    /// Does work of the service's own, which ends when the process is told to stop.
    pub fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) -> &mut Self {
        self.runs.push(Box::pin(work));
        self
    }
}
