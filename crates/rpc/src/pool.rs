//! Pool: the open connections to one upstream. Each is kept by a task of its own,
//! which makes it again when it ends, more and more slowly while that fails; so an
//! endpoint that is gone is out of the pool at once, and comes back by itself. The
//! first call starts it all. Does not choose among them: that is `balance`.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base::{Error, backoff::Backoff, error::configuration};
use http::Uri;
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower::{
    Service as _,
    load::{CompleteOnResponse, Load as _, PeakEwma, peak_ewma::Cost},
};

use super::{
    Answer, Call, Failure,
    connection::{Connection, Upstream, host},
    metrics,
    transport::Transport,
};

/// How long to wait for an endpoint to accept a connection.
const CONNECT: Duration = Duration::from_secs(1);
/// How often names are looked up again.
const LOOK_UP: Duration = Duration::from_secs(5);
/// While nobody can be reached, they are looked up sooner, but not more often than this.
const LOOK_UP_SOON: Duration = Duration::from_millis(500);
/// A connection that ends sooner than this was none: the next one is not made at once.
const STEADY: Duration = Duration::from_secs(1);
/// What an endpoint is taken to need until it is known, and how far back is looked to know it; both
/// as linkerd2-proxy has them.
const FIRST_GUESS: Duration = Duration::from_millis(30);
const DECAY_NS: f64 = 10e9;

/// One connection of the pool, and how busy it is.
#[derive(Clone)]
pub(super) struct Link {
    /// The connection itself, for streams.
    pub(super) connection: Connection,
    place: Place,
    measured: Arc<Mutex<PeakEwma<Transport>>>,
    given_up: CancellationToken,
}

impl Link {
    fn new(service: &'static str, place: Place, connection: Connection) -> Self {
        let transport = Transport { service, connection: connection.clone() };
        let complete = CompleteOnResponse::default();
        let measured = PeakEwma::new(transport, FIRST_GUESS, DECAY_NS, complete);
        let measured = Arc::new(Mutex::new(measured));
        Self { connection, place, measured, given_up: CancellationToken::new() }
    }

    /// Calls over this connection; how long that takes counts as its load.
    pub(super) fn call(&self, call: Call) -> Answer {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(measured.call(call))
    }

    /// What is under way on it times how long that takes.
    pub(super) fn load(&self) -> Cost {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).load()
    }

    /// Takes it out of the pool, which makes another; what is under way on it goes on.
    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }
}

/// Where a connection belongs: the number of the upstream's address, what that stands for (none
/// while it cannot be looked up), and the number of the connection.
type Place = (usize, Option<SocketAddr>, usize);

/// When a connection could last not be made, and why.
type Failed = (Instant, Arc<str>);

/// What is known of an upstream's endpoints.
pub(super) struct View {
    /// The open connections.
    pub(super) links: Vec<Link>,
    places: BTreeMap<Place, Option<Failed>>,
}

impl View {
    fn failed(&mut self, place: Place, why: String) {
        if let Some(failed) = self.places.get_mut(&place) {
            *failed = Some((Instant::now(), why.into()));
        }
    }

    fn opened(&mut self, link: Link) {
        if let Some(failed) = self.places.get_mut(&link.place) {
            *failed = None;
            self.links.push(link);
        }
    }

    fn closed(&mut self, place: Place) {
        self.links.retain(|link| link.place != place);
    }

    /// Why nobody can be reached, if all was tried in vain since then.
    fn hopeless(&self, since: Instant) -> Option<Arc<str>> {
        let mut why = None;
        for failed in self.places.values() {
            let (at, reason) = failed.as_ref()?;
            if *at < since {
                return None;
            }
            why.get_or_insert(reason);
        }
        why.map(Arc::clone)
    }
}

/// The connections to one upstream. Clones share them; they are given up with the last one.
#[derive(Clone)]
pub(super) struct Pool {
    service: &'static str,
    view: watch::Receiver<View>,
    /// Counts the calls that found nobody.
    demand: Arc<watch::Sender<u64>>,
}

impl Pool {
    /// The pool of the upstream at `addresses`: one or several, with commas between; a name may
    /// stand for several endpoints. So many `connections` to each, by `tls` where an address says
    /// https. Needs a tokio runtime.
    pub(super) fn new(
        service: &'static str,
        addresses: &str,
        tls: Option<&tls::Connector>,
        connections: usize,
    ) -> Result<Self, Error> {
        let addresses = addresses.split(',').map(|address| upstream(service, address.trim(), tls));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        // None is known yet, so none is given up on.
        let places = (0..addresses.len()).map(|number| ((number, None, 0), None)).collect();
        let (publish, view) = watch::channel(View { links: Vec::new(), places });
        let (demand, wanted) = watch::channel(0);
        let publish = Arc::new(publish);
        for (number, upstream) in addresses.into_iter().enumerate() {
            let keeper = Keeper {
                service,
                number,
                upstream,
                connections,
                publish: Arc::clone(&publish),
                demand: wanted.clone(),
                lines: BTreeMap::new(),
            };
            tokio::spawn(keeper.run());
        }
        Ok(Self { service, view, demand: Arc::new(demand) })
    }

    /// Chooses among the open connections. When there is none, waits until there is one, or until
    /// every endpoint was tried in vain.
    pub(super) async fn choose(
        &self,
        mut choose: impl FnMut(&View) -> Option<Link>,
    ) -> Result<Link, Failure> {
        if let Some(link) = choose(&self.view.borrow()) {
            return Ok(link);
        }
        let since = Instant::now();
        let mut changes = self.view.clone();
        self.demand.send_modify(|calls| *calls = calls.wrapping_add(1));
        loop {
            {
                let view = changes.borrow_and_update();
                if let Some(link) = choose(&view) {
                    return Ok(link);
                }
                if let Some(why) = view.hopeless(since) {
                    return Err(self.unreachable(&why));
                }
            }
            if changes.changed().await.is_err() {
                return Err(self.unreachable("its connections were given up"));
            }
        }
    }

    /// How many connections there are when all is well.
    pub(super) fn size(&self) -> usize {
        self.view.borrow().places.len()
    }

    fn unreachable(&self, why: &str) -> Failure {
        Failure::unreachable(self.service, Duration::from_secs(1), why)
    }
}

/// What is at an address of a service.
pub(super) fn upstream(
    service: &str,
    address: &str,
    tls: Option<&tls::Connector>,
) -> Result<Upstream, Error> {
    let wrong = |why: &dyn std::fmt::Display| {
        configuration(format!("peers: the address of {service}, {address}: {why}"))
    };
    let uri: Uri = address.parse().map_err(|error| wrong(&error))?;
    match (uri.scheme_str(), uri.authority(), tls) {
        (Some("http"), Some(authority), _) => {
            Ok(Upstream { authority: authority.clone(), tls: None })
        }
        (Some("https"), Some(authority), Some(tls)) => {
            Ok(Upstream { authority: authority.clone(), tls: Some(tls.clone()) })
        }
        _ => Err(wrong(&"must be http://<host>:<port>, or https://…")),
    }
}

/// Looks one address up, again and again, and has each endpoint kept that it stands for.
struct Keeper {
    service: &'static str,
    number: usize,
    upstream: Upstream,
    connections: usize,
    publish: Arc<watch::Sender<View>>,
    demand: watch::Receiver<u64>,
    lines: BTreeMap<Place, AbortOnDropHandle<()>>,
}

impl Keeper {
    /// From the first call until the pool is dropped.
    async fn run(mut self) {
        let mut pause = Duration::MAX;
        while !matches!(timeout(pause, self.demand.changed()).await, Ok(Err(_))) {
            self.look_up().await;
            sleep(LOOK_UP_SOON).await;
            pause = LOOK_UP;
        }
    }

    async fn look_up(&mut self) {
        let place = (host(&self.upstream.authority), self.upstream.port());
        let found = match timeout(LOOK_UP, lookup_host(place)).await {
            Ok(Ok(found)) => found.collect::<BTreeSet<_>>(),
            // What was known before may still be there.
            Ok(Err(_)) | Err(_) if !self.lines.is_empty() => return,
            Ok(Err(error)) => return self.unknown(&error.to_string()),
            Err(_) => return self.unknown("its name was not found in time"),
        };
        let (number, connections) = (self.number, self.connections);
        let places = found.into_iter().flat_map(|endpoint| {
            (0..connections).map(move |connection| (number, Some(endpoint), connection))
        });
        let places = places.collect::<BTreeSet<Place>>();
        self.publish.send_if_modified(|view| {
            let before = view.places.len();
            view.places.retain(|place, _| place.0 != self.number || places.contains(place));
            view.links.retain(|link| link.place.0 != self.number || places.contains(&link.place));
            for place in &places {
                view.places.entry(*place).or_default();
            }
            before != view.places.len()
        });
        self.lines.retain(|place, _| places.contains(place));
        for place in places {
            if let (_, Some(endpoint), _) = place
                && !self.lines.contains_key(&place)
            {
                let line = tokio::spawn(self.line(place, endpoint));
                self.lines.insert(place, AbortOnDropHandle::new(line));
            }
        }
    }

    /// The address stands for nothing.
    fn unknown(&self, why: &str) {
        let place = (self.number, None, 0);
        self.publish.send_modify(|view| {
            view.places.entry(place).or_default();
            view.failed(place, why.to_owned());
        });
    }

    /// Keeps one connection open.
    fn line(&self, place: Place, endpoint: SocketAddr) -> impl Future<Output = ()> + use<> {
        let (service, upstream) = (self.service, self.upstream.clone());
        let (publish, mut demand) = (Arc::clone(&self.publish), self.demand.clone());
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        async move {
            let mut ejected = None;
            loop {
                demand.mark_unchanged();
                let opening = Connection::open(service, endpoint, upstream.clone());
                let why = match timeout(CONNECT, opening).await {
                    Ok(Ok((connection, ended))) => {
                        ejected = None;
                        let opened = Instant::now();
                        let link = Link::new(service, place, connection);
                        publish.send_modify(|view| view.opened(link.clone()));
                        let _ = link.given_up.run_until_cancelled(ended).await;
                        publish.send_modify(|view| view.closed(place));
                        if opened.elapsed() >= STEADY {
                            backoff.reset();
                            continue;
                        }
                        "it hangs up".to_owned()
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => "it does not accept connections".to_owned(),
                };
                tracing::debug!(upstream = service, %endpoint, why, "not connected");
                ejected.get_or_insert_with(|| metrics::ejected(service));
                publish.send_modify(|view| view.failed(place, why));
                // Sooner when a call finds nobody else.
                if matches!(timeout(backoff.pause(), demand.changed()).await, Ok(Err(_))) {
                    return;
                }
            }
        }
    }
}
