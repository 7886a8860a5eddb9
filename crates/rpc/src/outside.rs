//! A process as it looks from outside: its metrics, and which services are well in
//! it. Each endpoint is asked by itself, over a connection of its own, so that the
//! one that is slow or gone is seen. For observing a deployment, never for its calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use base::Error;
use http::{Request, header};
use http_body_util::{BodyExt as _, Limited};
use telemetry::{Reading, read};
use tokio::{net::lookup_host, time::timeout};
use tonic::{
    Code,
    body::Body,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::{Service as _, ServiceExt as _};

use super::pool;

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

/// The endpoints that the address of a service stands for; it may be several, with commas between.
pub async fn endpoints(
    service: &str,
    addresses: &str,
    within: Duration,
) -> Result<BTreeSet<SocketAddr>, Error> {
    let mut found = BTreeSet::new();
    for address in addresses.split(',') {
        let authority = pool::authority(service, address.trim())?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(80);
        let looked_up = timeout(within, lookup_host((host, port)));
        let looked_up = looked_up.await.map_err(|_| gone("its name was not found in time"))?;
        found.extend(looked_up.map_err(|error| gone(error.to_string()))?);
    }
    Ok(found)
}

/// Asks the process at an endpoint for its metrics, and whether these services are well in it.
pub async fn look(
    endpoint: SocketAddr,
    services: &BTreeSet<&str>,
    within: Duration,
) -> Result<Seen, Error> {
    let looked = timeout(within, ask(endpoint, services)).await;
    looked.map_err(|_| gone(format!("no answer within {} ms", within.as_millis())))?
}

async fn ask(endpoint: SocketAddr, services: &BTreeSet<&str>) -> Result<Seen, Error> {
    let address = Endpoint::from_shared(format!("http://{endpoint}"));
    let address = address.map_err(|error| gone(error.to_string()))?;
    let channel = address.connect().await.map_err(|_| gone("it does not accept connections"))?;
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
