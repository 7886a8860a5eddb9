//! Looks at every process that the gateway's peers lead to, all at once, and keeps
//! the look for a second: however many watch, the deployment is asked once.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base::Error;
use futures_util::future::join_all;
use rpc::outside::{self, Endpoint, Seen};
use settings::PeerSettings;
use telemetry::Reading;
use tokio::{sync::Mutex, time::Instant};

/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How long a look is as good as a new one.
const FRESH: Duration = Duration::from_millis(900);

/// Where the services are, and the last look at them.
pub(super) struct Deployment {
    /// Addresses by service.
    peers: BTreeMap<String, String>,
    /// To those at https addresses.
    tls: Option<tls::Connector>,
    last: Mutex<Option<(Instant, Arc<Look>)>>,
}

/// What was seen at once.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: SystemTime,
    /// Each service at each of its endpoints; one that cannot be found has none.
    pub(super) services: Vec<Place>,
    /// Each process once; the gateway's own is the first.
    pub(super) processes: Vec<Process>,
}

/// A service at an endpoint.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) service: String,
    pub(super) endpoint: Option<SocketAddr>,
    pub(super) health: Health,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Serving,
    /// It answers; its database does not, or it is about to stop.
    NotServing,
    /// It does not run in the process that answers there.
    Absent,
    /// Nobody answers, and why.
    Away(String),
}

/// What a process tells.
#[derive(Debug)]
pub(super) struct Process {
    /// `order`, or `hansang` for several parts.
    pub(super) name: String,
    pub(super) version: String,
    pub(super) readings: Vec<Reading>,
}

impl Process {
    /// With its id, which may be empty.
    fn of(readings: Vec<Reading>) -> (Self, String) {
        let target = readings.iter().find(|reading| reading.plain_name() == "target_info");
        let point = target.and_then(|target| target.points.first());
        let said = |label| point.map_or("", |point| point.label(label)).to_owned();
        let id = said("service_instance_id");
        let (name, version) = (said("service_name"), said("service_version"));
        (Self { name, version, readings }, id)
    }
}

impl Deployment {
    /// A deployment of these services.
    pub(super) fn new<'a>(
        services: impl Iterator<Item = &'a str>,
        peers: &PeerSettings,
    ) -> Result<Self, Error> {
        let tls = tls::Connector::of(peers)?;
        let peers = services.map(|service| (service.to_owned(), peers.address(service))).collect();
        Ok(Self { peers, tls, last: Mutex::default() })
    }

    /// How it is now.
    pub(super) async fn look(&self) -> Arc<Look> {
        let mut last = self.last.lock().await;
        if let Some((_, look)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Arc::clone(look);
        }
        let look = Arc::new(self.look_anew().await);
        *last = Some((Instant::now(), Arc::clone(&look)));
        look
    }

    async fn look_anew(&self) -> Look {
        let tls = self.tls.as_ref();
        let found = join_all(self.peers.iter().map(async |(service, address)| {
            (service.as_str(), outside::endpoints(service, address, tls, PATIENCE).await)
        }));
        let found = found.await;
        let mut expected: BTreeMap<Endpoint, BTreeSet<&str>> = BTreeMap::new();
        for (service, endpoints) in &found {
            for endpoint in endpoints.iter().flatten() {
                expected.entry(endpoint.clone()).or_default().insert(service);
            }
        }
        let seen = join_all(expected.iter().map(async |(endpoint, services)| {
            (endpoint.address, outside::look(endpoint, tls, services, PATIENCE).await)
        }));
        let seen: BTreeMap<_, _> = seen.await.into_iter().collect();

        let mut services = Vec::new();
        for (service, endpoints) in found {
            let place = |endpoint, health| Place { service: service.to_owned(), endpoint, health };
            match endpoints {
                Ok(endpoints) => {
                    let places = endpoints.into_iter();
                    services.extend(places.map(|Endpoint { address, .. }| {
                        place(Some(address), health(service, seen.get(&address)))
                    }));
                }
                Err(error) => services.push(place(None, Health::Away(error.to_string()))),
            }
        }
        Look { at: SystemTime::now(), services, processes: processes(seen) }
    }
}

fn health(service: &str, seen: Option<&Result<Seen, Error>>) -> Health {
    match seen {
        Some(Ok(seen)) => match seen.serving.get(service) {
            Some(true) => Health::Serving,
            Some(false) => Health::NotServing,
            None => Health::Absent,
        },
        Some(Err(error)) => Health::Away(error.to_string()),
        None => Health::Away("it was not asked".to_owned()),
    }
}

/// Each once, though it may answer at several endpoints, and this one may be among them.
fn processes(seen: BTreeMap<SocketAddr, Result<Seen, Error>>) -> Vec<Process> {
    let (own, id) = Process::of(telemetry::readings());
    let (mut processes, mut ids) = (vec![own], BTreeSet::from([id]));
    for seen in seen.into_values().flatten() {
        let (process, id) = Process::of(seen.readings);
        if id.is_empty() || ids.insert(id) {
            processes.push(process);
        }
    }
    processes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readings::gauge;

    fn look_of(id: &str) -> Seen {
        let serving = BTreeMap::from([("order".to_owned(), true), ("payment".to_owned(), false)]);
        let labels = [("service_name", "order"), ("service_instance_id", id)];
        Seen { readings: vec![gauge("target_info", "", &labels, 1.0)], serving }
    }

    #[test]
    fn a_process_that_answers_twice_counts_once() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let away = Err(Error::unavailable("AWAY", "gone"));
        let seen = [
            (at(1), Ok(look_of("a"))),
            (at(2), Ok(look_of("a"))),
            (at(3), Ok(look_of("b"))),
            (at(4), away),
        ];
        let processes = processes(seen.into());
        let names: Vec<_> = processes.iter().skip(1).map(|process| &process.name).collect();
        assert_eq!(names, ["order", "order"], "beside this one");
    }

    #[test]
    fn a_service_is_as_its_process_says() {
        let seen = Ok(look_of("a"));
        assert_eq!(health("order", Some(&seen)), Health::Serving);
        assert_eq!(health("payment", Some(&seen)), Health::NotServing);
        assert_eq!(health("coupon", Some(&seen)), Health::Absent);
        let gone = Err(Error::unavailable("AWAY", "gone"));
        assert!(matches!(health("order", Some(&gone)), Health::Away(why) if why.contains("gone")));
    }
}
