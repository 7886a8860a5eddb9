//! What stands between a service and Postgres: passes bytes; on demand it
//! is slow, falls silent, or cuts. Knows nothing of what the bytes mean.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// How a connection is treated that was open before `cut` or `frozen` was raised.
#[derive(Clone, Copy, Default)]
struct Mode {
    /// Connections of this number or below are closed.
    cut: u64,
    /// Connections of this number or below carry nothing, and are not closed.
    frozen: u64,
    /// Each piece waits for so long.
    delay: Duration,
}

/// The way of one service to Postgres.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    mode: Arc<watch::Sender<Mode>>,
    opened: Arc<watch::Sender<u64>>,
}

impl Proxy {
    /// Listens there, and passes on to `server`.
    pub(crate) async fn open(address: SocketAddr, server: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let (mode, opened) = (watch::Sender::new(Mode::default()), watch::Sender::new(0));
        let proxy = Self { address, mode: Arc::new(mode), opened: Arc::new(opened) };
        let (modes, opened) = (Arc::clone(&proxy.mode), Arc::clone(&proxy.opened));
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    // Too many open files, or the end of the run.
                    tokio::task::yield_now().await;
                    continue;
                };
                let number = *opened.borrow() + 1;
                opened.send_replace(number);
                tokio::spawn(carry(client, server, number, modes.subscribe()));
            }
        });
        proxy
    }

    /// Closes all connections that are open.
    pub(crate) fn cut(&self) {
        let opened = *self.opened.borrow();
        self.mode.send_modify(|mode| mode.cut = opened);
    }

    /// From now on connections that are open carry nothing, until they are thawed or cut. New ones
    /// work.
    pub(crate) fn freeze(&self) {
        let opened = *self.opened.borrow();
        self.mode.send_modify(|mode| mode.frozen = opened);
    }

    /// Frozen connections carry again what waits, and more.
    pub(crate) fn thaw(&self) {
        self.mode.send_modify(|mode| mode.frozen = 0);
    }

    /// From now on each piece takes so long, each way.
    pub(crate) fn delay(&self, delay: Duration) {
        self.mode.send_modify(|mode| mode.delay = delay);
    }
}

async fn carry(
    client: TcpStream,
    server: SocketAddr,
    number: u64,
    mut mode: watch::Receiver<Mode>,
) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) =
        (client.into_split(), server.into_split());
    let there = pass(from_client, to_server, number, mode.clone());
    let back = pass(from_server, to_client, number, mode.clone());
    tokio::select! {
        // Both directions end with the first: half-open connections are not what is tested.
        () = there => {}
        () = back => {}
        _ = mode.wait_for(|mode| mode.cut >= number) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut mode: watch::Receiver<Mode>,
) {
    let mut piece = vec![0; 16 * 1024];
    loop {
        let Ok(read) = from.read(&mut piece).await else { return };
        if mode.wait_for(|mode| mode.frozen < number).await.is_err() {
            return;
        }
        if read == 0 {
            return;
        }
        let delay = mode.borrow().delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}
