//! An upstream that does as it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
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
    type Response = Reply;
    type Error = Failure;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

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
    Reply { message: Bytes::new(), metadata: MetadataMap::new() }
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
