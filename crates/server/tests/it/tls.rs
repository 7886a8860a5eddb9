//! A process whose gRPC listener speaks TLS: calls, health and metrics go by it, and
//! whoever comes in plain text, or without a certificate where one is asked for, gets nothing.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use rpc::{
    Limits, Peer,
    outside::{self, Endpoint},
};
use schema::Unary;
use server::{Service, ServiceBuilder};
use settings::{ListenTls, PeerSettings, PeerTls};
use testkit::{Certificates, stage::Stage};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

const CHECK: Unary<HealthCheckRequest, HealthCheckResponse> =
    Unary::new("/grpc.health.v1.Health/Check", true);
const PATIENCE: Duration = Duration::from_secs(5);
static KITCHEN: Service = Service {
    name: "kitchen",
    migrations: pg::migrations![],
    build: |_: &mut ServiceBuilder<'_>| Ok(()),
};

async fn open(certificates: &Certificates, mutual: bool) -> (Stage, SocketAddr) {
    let mut address = None;
    let change = |settings: &mut settings::Settings| {
        address = settings.peers.template.trim_start_matches("http://").parse().ok();
        settings.grpc.tls = ListenTls {
            cert_path: Some(certificates.file("server.pem")),
            key_path: Some(certificates.file("server.key")),
            client_ca_path: mutual.then(|| certificates.file("ca.pem")),
        };
    };
    let stage = Stage::open_with(&[&KITCHEN], crate::support::api(), change).await;
    (stage.expect("starts"), address.expect("an address"))
}

fn peers(certificates: &Certificates, at: SocketAddr, ca: &str, own: bool) -> PeerSettings {
    let own = |name| own.then(|| certificates.file(name));
    PeerSettings {
        template: format!("https://localhost:{}", at.port()),
        tls: PeerTls {
            ca_path: Some(certificates.file(ca)),
            cert_path: own("client.pem"),
            key_path: own("client.key"),
        },
        ..PeerSettings::default()
    }
}

/// Asks for the health of the process, as a call between services goes.
async fn call(peers: &PeerSettings) -> Result<(), String> {
    let peer = Peer::of("kitchen", peers, None, Limits::default()).expect("is right");
    let request = HealthCheckRequest { service: "liveness".to_owned() };
    let answer = peer.unary(CHECK, &request, PATIENCE).await;
    answer.map(|_| ()).map_err(|failure| failure.status().message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_health_and_metrics_go_by_tls_and_nothing_goes_without() {
    let certificates = Certificates::make();
    let (stage, at) = open(&certificates, false).await;
    let right = peers(&certificates, at, "ca.pem", false);
    call(&right).await.expect("is answered");
    call(&peers(&certificates, at, "other.pem", false)).await.expect_err("another authority");
    let plain = PeerSettings { template: format!("http://{at}"), ..PeerSettings::default() };
    call(&plain).await.expect_err("plain text");

    let tls = tls::Connector::of(&right).expect("is right").expect("https");
    let services = BTreeSet::from(["kitchen"]);
    let look = async |secure| {
        let endpoint = Endpoint::at(at, secure);
        outside::look(&endpoint, Some(&tls), &services, PATIENCE).await
    };
    let seen = look(true).await.expect("it is seen");
    assert!(seen.serving.contains_key("kitchen") && !seen.readings.is_empty());
    look(false).await.expect_err("plain text");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_with_a_certificate_of_the_authority_are_let_in_where_it_is_asked_for() {
    let certificates = Certificates::make();
    let (stage, at) = open(&certificates, true).await;
    call(&peers(&certificates, at, "ca.pem", false)).await.expect_err("no certificate");
    call(&peers(&certificates, at, "ca.pem", true)).await.expect("is answered");
    stage.close().await;
}
