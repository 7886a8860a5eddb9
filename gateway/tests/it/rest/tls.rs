//! REST by TLS: HTTP/1.1 and HTTP/2, as the client and the gateway agree; nothing in plain text.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::aws_lc_rs, pki_types::ServerName};
use settings::ListenTls;
use testkit::Certificates;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Table;

async fn connect(
    table: &Table,
    certificates: &Certificates,
    protocol: &str,
) -> TlsStream<TcpStream> {
    let roots = ::tls::roots("ca", Some(&certificates.file("ca.pem"))).expect("an authority");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let socket = TcpStream::connect(table.address).await.expect("connects");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let stream = stream.expect("the gateway is who it says");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    stream
}

#[tokio::test]
async fn both_versions_of_http_go_by_tls_and_neither_without() {
    let certificates = Certificates::make();
    let table = Table::lay_with(|settings| {
        settings.http.tls = ListenTls {
            cert_path: Some(certificates.file("server.pem")),
            key_path: Some(certificates.file("server.key")),
            client_ca_path: None,
        };
    });
    let table = table.await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    let mut stream = connect(&table, &certificates, "http/1.1").await;
    stream.write_all(request).await.expect("writes");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("reads");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));

    let stream = connect(&table, &certificates, "h2").await;
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(connection);
    let request2 = http::Request::get("https://localhost/healthz").body(()).expect("a request");
    let (answer, _) = client.send_request(request2, true).expect("sends");
    assert_eq!(answer.await.expect("answers").status(), 200);

    let mut plain = TcpStream::connect(table.address).await.expect("connects");
    plain.write_all(request).await.expect("writes");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}
