//! TLS between real sockets, with certificates of the test's own authorities.

use std::{fs, io, time::Duration};

use settings::{ListenTls, PeerTls};
use testkit::Certificates;
use tls::{Acceptor, Connected, Connector};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::sleep,
};

/// Longer than files may go without being looked at.
const LOOKED_AT: Duration = Duration::from_millis(1_100);

fn listen(certificates: &Certificates, mutual: bool) -> ListenTls {
    ListenTls {
        cert_path: Some(certificates.file("server.pem")),
        key_path: Some(certificates.file("server.key")),
        client_ca_path: mutual.then(|| certificates.file("ca.pem")),
    }
}

fn call(certificates: &Certificates, ca: &str, own: Option<&str>) -> Connector {
    let own = |ending: &str| own.map(|name| certificates.file(&format!("{name}.{ending}")));
    let settings = PeerTls {
        ca_path: Some(certificates.file(ca)),
        cert_path: own("pem"),
        key_path: own("key"),
    };
    Connector::new(&settings).expect("is right")
}

/// A server that says again what it hears.
struct Echo(std::net::SocketAddr);

impl Echo {
    async fn start(settings: &ListenTls) -> Self {
        let acceptor = Acceptor::of("grpc.tls", settings, &["h2"]).expect("is right");
        let acceptor = acceptor.expect("there is a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let (mut from, mut to) = tokio::io::split(acceptor.accept(socket).await?);
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        Self(address)
    }

    async fn connect(&self, connector: &Connector, name: &str) -> io::Result<Connected> {
        let mut stream = connector.connect(name, TcpStream::connect(self.0).await?).await?;
        hear(&mut stream).await.map(|()| stream)
    }
}

/// A server that refuses a client's certificate says so only now.
async fn hear(stream: &mut Connected) -> io::Result<()> {
    stream.write_all(b"anybody?").await?;
    stream.read_exact(&mut [0; 8]).await.map(|_| ())
}

fn shown(stream: &Connected) -> Vec<u8> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn a_server_is_who_its_certificate_says_by_a_trusted_authority() {
    let certificates = Certificates::make();
    let server = Echo::start(&listen(&certificates, false)).await;
    let right = call(&certificates, "ca.pem", None);
    server.connect(&right, "localhost").await.expect("it is");
    let error = server.connect(&right, "elsewhere").await.expect_err("another name").to_string();
    assert!(error.contains("not valid for name"), "{error}");
    let other = call(&certificates, "other.pem", None);
    let error = server.connect(&other, "localhost").await.expect_err("not trusted").to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");

    let mut plain = TcpStream::connect(server.0).await.expect("connects");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("writes");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(answer.first().is_none_or(|kind| *kind == 21), "no alert: {answer:?}");
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_authority_is_refused_where_one_is_asked_for() {
    let certificates = Certificates::make();
    certificates.issue("other", "stranger", "client");
    let server = Echo::start(&listen(&certificates, true)).await;
    for (own, taken) in [(None, false), (Some("stranger"), false), (Some("client"), true)] {
        let connector = call(&certificates, "ca.pem", own);
        let connected = server.connect(&connector, "localhost").await;
        assert_eq!(connected.is_ok(), taken, "{own:?}: {:?}", connected.err());
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_who_comes_next_and_others_go_on() {
    let certificates = Certificates::make();
    let server = Echo::start(&listen(&certificates, false)).await;
    let connector = call(&certificates, "ca.pem", None);
    let mut before = server.connect(&connector, "localhost").await.expect("connects");

    certificates.issue("ca", "server", "localhost");
    sleep(LOOKED_AT).await;
    let after = server.connect(&connector, "localhost").await.expect("connects");
    assert_ne!(shown(&before), shown(&after));
    hear(&mut before).await.expect("goes on");

    // Half of the next: what is there stays.
    fs::write(certificates.file("server.pem"), "-----BEGIN").expect("writes");
    sleep(LOOKED_AT).await;
    let then = server.connect(&connector, "localhost").await.expect("connects");
    assert_eq!(shown(&after), shown(&then));
}

#[tokio::test]
async fn authorities_and_own_certificates_of_callers_are_renewed_too() {
    let certificates = Certificates::make();
    let server = Echo::start(&listen(&certificates, true)).await;
    let stranger = call(&certificates, "other.pem", Some("client"));
    server.connect(&stranger, "localhost").await.expect_err("not trusted");
    fs::copy(certificates.file("ca.pem"), certificates.file("other.pem")).expect("copies");
    sleep(LOOKED_AT).await;
    server.connect(&stranger, "localhost").await.expect("trusted by now");
    certificates.issue("ca", "client", "client");
    sleep(LOOKED_AT).await;
    server.connect(&stranger, "localhost").await.expect("with the new one");
}

#[test]
fn what_cannot_be_used_is_named_at_the_start() {
    let certificates = Certificates::make();
    let right = listen(&certificates, true);
    assert!(Acceptor::of("grpc.tls", &ListenTls::default(), &[]).expect("no TLS").is_none());
    let refused = |settings: &ListenTls| {
        Acceptor::of("grpc.tls", settings, &[]).expect_err("refused").to_string()
    };
    let nowhere = ListenTls { cert_path: Some("/nowhere.pem".into()), ..right.clone() };
    assert!(refused(&nowhere).contains("grpc.tls: /nowhere.pem"), "{}", refused(&nowhere));
    let another = ListenTls { key_path: Some(certificates.file("client.key")), ..right.clone() };
    assert!(refused(&another).contains("server.pem"), "{}", refused(&another));
    fs::write(certificates.file("ca.pem"), "none").expect("writes");
    assert!(refused(&right).contains("ca.pem: holds no certificate"), "{}", refused(&right));
}
