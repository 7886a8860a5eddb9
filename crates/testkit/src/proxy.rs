//! A proxy in front of Postgres that does what networks do: it passes, delays,
//! refuses, cuts, and freezes, which is to take what is sent and forward nothing,
//! while everything stays open.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use settings::{DatabaseSettings, Secret};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};
use tokio_postgres::config::Host;

/// A proxy on loopback, for as long as this is there.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    refuses: AtomicBool,
    delay_ms: AtomicU64,
    /// How often connections were frozen, and cut: those that were there before are.
    frozen: watch::Sender<u64>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Puts itself in front of the server of these settings.
    ///
    /// # Panics
    /// When they name no server, or nothing can be listened on.
    pub fn before(settings: &mut DatabaseSettings) -> Self {
        let url = settings.url.expose().to_owned();
        let config: tokio_postgres::Config =
            url.replace("{service}", "x").parse().expect("settings are right");
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let target = match config.get_hosts().first().expect("a host") {
            Host::Tcp(name) => Target::Tcp(format!("{name}:{port}")),
            Host::Unix(path) => Target::Unix(path.join(format!(".s.PGSQL.{port}"))),
        };
        let proxy = Self::to(target);
        let start = url.find('@').map_or("postgres://".len(), |at| at + 1);
        let end = url[start..].find('/').map_or(url.len(), |slash| start + slash);
        settings.url = Secret::new(format!("{}{}{}", &url[..start], proxy.address, &url[end..]));
        proxy
    }

    /// Puts itself in front of that.
    ///
    /// # Panics
    /// When nothing can be listened on.
    pub fn to(target: Target) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let listener = TcpListener::from_std(listener).expect("in a runtime");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            refuses: AtomicBool::new(false),
            delay_ms: AtomicU64::new(0),
            frozen: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, target, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing is forwarded on the connections that are there, for ever, nor their end;
    /// new ones work.
    pub fn freeze_existing(&self) {
        self.state.frozen.send_modify(|times| *times += 1);
    }

    /// Closes the connections that are there.
    pub fn cut(&self) {
        self.state.cut.send_modify(|times| *times += 1);
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::Relaxed);
    }

    /// How long everything is held back, each way.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.state.delay_ms.store(millis, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

/// What is behind it.
#[derive(Clone)]
pub enum Target {
    /// `host:port`.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

async fn accept(listener: TcpListener, target: Target, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.refuses.load(Ordering::Relaxed) {
            continue;
        }
        let (target, state) = (target.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let _ = client.set_nodelay(true);
            match target {
                Target::Tcp(address) => {
                    let Ok(server) = TcpStream::connect(address).await else { return };
                    let _ = server.set_nodelay(true);
                    connect(client, server, state).await;
                }
                Target::Unix(path) => {
                    let Ok(server) = UnixStream::connect(path).await else { return };
                    connect(client, server, state).await;
                }
            }
        });
    }
}

async fn connect(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite + Unpin,
    state: Arc<State>,
) {
    let (mut cut, frozen) = (state.cut.subscribe(), state.frozen.subscribe());
    cut.mark_unchanged();
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = tokio::io::split(server);
    let both = async {
        tokio::join!(
            forward(client_in, server_out, &state, frozen.clone()),
            forward(server_in, client_out, &state, frozen.clone()),
        )
    };
    tokio::select! {
        _ = both => {}
        _ = cut.changed() => {}
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &State,
    mut frozen: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    frozen.mark_unchanged();
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let delay = state.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        if frozen.has_changed().unwrap_or(true) {
            while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            // The other end learns nothing of it.
            return std::future::pending().await;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}
