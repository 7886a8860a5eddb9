//! An upstream that does as it is told; and one behind a real socket.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tonic::{Status, metadata::MetadataMap};
use tower::Service;

use super::{Answer, Call, Failure, IDEMPOTENCY_KEY, Method, Policy, Reply};

/// Answers in turn; the last answer stays.
#[derive(Clone)]
pub(super) struct Upstream(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Result<Reply, Failure>>,
    slow: Duration,
    calls: usize,
}

impl Upstream {
    pub(super) fn script(answers: impl IntoIterator<Item = Result<Reply, Failure>>) -> Self {
        let script = Script { answers: answers.into_iter().collect(), ..Script::default() };
        Self(Arc::new(Mutex::new(script)))
    }

    pub(super) fn always(answer: Result<Reply, Failure>) -> Self {
        Self::script([answer])
    }

    pub(super) fn silent() -> Self {
        Self::script([])
    }

    pub(super) fn slow(by: Duration) -> Self {
        let upstream = Self::always(Ok(reply()));
        upstream.state().slow = by;
        upstream
    }

    pub(super) fn answer(&self, answer: Result<Reply, Failure>) {
        self.state().answers = [answer].into();
    }

    pub(super) fn fall_silent(&self) {
        self.state().answers.clear();
    }

    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, Script> {
        self.0.lock().expect("not poisoned")
    }
}

impl Service<Call> for Upstream {
    always_ready!();

    fn call(&mut self, _: Call) -> Answer {
        let mut script = self.state();
        script.calls += 1;
        let answer = match script.answers.len() {
            0 | 1 => script.answers.front().cloned(),
            _ => script.answers.pop_front(),
        };
        let slow = script.slow;
        Box::pin(async move {
            let Some(answer) = answer else { return std::future::pending().await };
            if !slow.is_zero() {
                sleep(slow).await;
            }
            answer
        })
    }
}

pub(super) fn call() -> Call {
    Call {
        method: Method::new("/shop.v1.Shop/Buy", false),
        policy: Policy::default(),
        message: Bytes::new(),
        metadata: MetadataMap::new(),
        deadline: Instant::now() + Duration::from_secs(10),
    }
}

pub(super) fn keyed() -> Call {
    let mut call = call();
    call.metadata.insert(IDEMPOTENCY_KEY, "k".parse().expect("ascii"));
    call
}

pub(super) fn reply() -> Reply {
    Reply { message: Bytes::new(), metadata: MetadataMap::new(), messages: None }
}

pub(super) fn away() -> Failure {
    Failure::unreachable("shop", Duration::from_secs(1), "refused")
}

pub(super) fn lost() -> Failure {
    let mut status = Status::unavailable("lost");
    status.set_source(Arc::new(std::io::Error::other("reset")));
    Failure::read("shop", status)
}

pub(super) fn refused() -> Failure {
    Failure::read("shop", Status::failed_precondition("closed"))
}

/// A server that answers every call with an empty message, after a while.
pub(super) struct Server {
    pub(super) address: String,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    calls: AtomicUsize,
}

impl Server {
    pub(super) async fn start(slow: Duration) -> Self {
        Self::at("127.0.0.1:0", slow).await
    }

    pub(super) async fn at(address: &str, slow: Duration) -> Self {
        let listener = TcpListener::bind(address).await.expect("binds");
        let address = listener.local_addr().expect("address").to_string();
        let seen = Arc::new(Seen::default());
        let task = tokio::spawn(serve(listener, slow, Arc::clone(&seen)));
        Self { address, seen, task }
    }

    pub(super) fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::Relaxed)
    }

    pub(super) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// Cuts everything off, as a killed process does.
    pub(super) async fn die(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

async fn serve(listener: TcpListener, slow: Duration, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(attend(socket, slow, Arc::clone(&seen)));
    }
}

async fn attend(socket: TcpStream, slow: Duration, seen: Arc<Seen>) {
    let Ok(mut connection) = h2::server::handshake(socket).await else { return };
    let mut answers = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        seen.calls.fetch_add(1, Ordering::Relaxed);
        answers.spawn(answer(request.into_body(), respond, slow));
    }
}

async fn answer(
    mut body: h2::RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
    slow: Duration,
) -> Result<(), h2::Error> {
    while let Some(data) = body.data().await {
        data?;
    }
    sleep(slow).await;
    let head = Response::builder().header("content-type", "application/grpc");
    let mut stream = respond.send_response(head.body(()).expect("a head"), false)?;
    // Not compressed, and no bytes long.
    stream.send_data(Bytes::from_static(&[0; 5]), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("ascii"));
    stream.send_trailers(trailers)
}
