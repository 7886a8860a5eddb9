//! A process as it looks from outside: its metrics, and which services are well in
//! it. Each endpoint is asked by itself, over a connection of its own, so that the
//! one that is slow or gone is seen. For observing a deployment, never for its calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    net::SocketAddr,
    time::Duration,
};

use base::Error;
use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use telemetry::{Reading, read};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tonic::{
    Code,
    body::Body,
    transport::{self, Channel},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::{Service as _, ServiceExt as _, service_fn};

pub use tonic_health::pb::health_check_response::ServingStatus;

use super::{connection::host, pool};

/// More than any process has to say.
const LONGEST: usize = 16 * 1024 * 1024;

/// What a process says of itself.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its metrics.
    pub readings: Vec<Reading>,
    /// Whether each service that was asked for serves; one that it does not know is not there.
    pub serving: BTreeMap<String, bool>,
}

/// Where one process listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: SocketAddr,
    /// Whom its certificate has to name; none where it speaks in plain text.
    pub secure: Option<String>,
}

impl Endpoint {
    /// On this machine, or by its address.
    pub fn at(address: SocketAddr, secure: bool) -> Self {
        let ip = address.ip();
        let name = if ip.is_loopback() { "localhost".to_owned() } else { ip.to_string() };
        Self { address, secure: secure.then_some(name) }
    }
}

/// The endpoints that the address of a service stands for; it may be several, with commas between.
pub async fn endpoints(
    service: &str,
    addresses: &str,
    tls: Option<&tls::Connector>,
    within: Duration,
) -> Result<BTreeSet<Endpoint>, Error> {
    let mut found = BTreeSet::new();
    for address in addresses.split(',') {
        let upstream = pool::upstream(service, address.trim(), tls)?;
        let host = host(&upstream.authority).to_owned();
        let looked_up = timeout(within, lookup_host((host.clone(), upstream.port())));
        let looked_up = looked_up.await.map_err(|_| gone("its name was not found in time"))?;
        let looked_up = looked_up.map_err(|error| gone(error.to_string()))?;
        let secure = upstream.tls.map(|_| host);
        found.extend(looked_up.map(|address| Endpoint { address, secure: secure.clone() }));
    }
    Ok(found)
}

/// Asks the process at an endpoint for its metrics, and whether these services are well in it.
pub async fn look(
    endpoint: &Endpoint,
    tls: Option<&tls::Connector>,
    services: &BTreeSet<&str>,
    within: Duration,
) -> Result<Seen, Error> {
    let looked = timeout(within, ask(endpoint, tls, services)).await;
    looked.map_err(|_| gone(format!("no answer within {} ms", within.as_millis())))?
}

/// Whether a service is well in the process at an endpoint.
pub async fn health(
    endpoint: &Endpoint,
    tls: Option<&tls::Connector>,
    service: &str,
) -> Result<ServingStatus, Error> {
    let channel = connect(endpoint, tls).await?;
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| gone(status.message()))
}

async fn connect(endpoint: &Endpoint, tls: Option<&tls::Connector>) -> Result<Channel, Error> {
    let address = transport::Endpoint::from_shared(format!("http://{}", endpoint.address));
    let address = address.map_err(|error| gone(error.to_string()))?;
    let Some((name, tls)) = endpoint.secure.as_ref().zip(tls) else {
        let channel = address.connect().await;
        return channel.map_err(|_| gone("it does not accept connections"));
    };
    let (at, name, tls) = (endpoint.address, name.clone(), tls.clone());
    let secure = service_fn(move |_| {
        let (name, tls) = (name.clone(), tls.clone());
        async move { tls.connect(&name, TcpStream::connect(at).await?).await.map(TokioIo::new) }
    });
    let channel = address.connect_with_connector(secure).await;
    channel.map_err(|error| {
        let cause = std::iter::successors(error.source(), |&error| error.source()).last();
        let why = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        gone(format!("it does not accept connections{why}"))
    })
}

async fn ask(
    endpoint: &Endpoint,
    tls: Option<&tls::Connector>,
    services: &BTreeSet<&str>,
) -> Result<Seen, Error> {
    let channel = connect(endpoint, tls).await?;
    let mut serving = BTreeMap::new();
    for service in services {
        let request = HealthCheckRequest { service: (*service).to_owned() };
        match HealthClient::new(channel.clone()).check(request).await {
            Ok(answer) => {
                let well = answer.into_inner().status() == ServingStatus::Serving;
                serving.insert((*service).to_owned(), well);
            }
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => return Err(gone(status.message())),
        }
    }
    Ok(Seen { readings: metrics(channel).await?, serving })
}

async fn metrics(mut channel: Channel) -> Result<Vec<Reading>, Error> {
    let request = Request::get("/metrics").header(header::ACCEPT, telemetry::PROTOBUF);
    let request = request.body(Body::empty()).map_err(|error| gone(error.to_string()))?;
    let channel = channel.ready().await.map_err(|error| gone(error.to_string()))?;
    let answer = channel.call(request).await.map_err(|error| gone(error.to_string()))?;
    let bytes = Limited::new(answer.into_body(), LONGEST).collect().await;
    let bytes = bytes.map_err(|error| gone(error.to_string()))?.to_bytes();
    read(&bytes).map_err(|error| gone(format!("its metrics cannot be read: {error}")))
}

fn gone(why: impl Into<String>) -> Error {
    Error::unavailable("PROCESS_AWAY", why)
}
