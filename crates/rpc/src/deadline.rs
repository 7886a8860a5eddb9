//! Deadline: the caller stops waiting when the call's time is up, in whatever
//! try it is. Differs from a timeout in being a point in time, so that retries
//! do not extend it, and upstreams get what is left of it (see `transport`).

use tokio::time::timeout_at;
use tower::{Layer, Service};

use super::{Answer, Call, Failure, Step};

/// Puts [`Deadline`] around a service.
#[derive(Clone, Copy)]
pub(super) struct DeadlineLayer {
    pub(super) service: &'static str,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, service: self.service }
    }
}

/// Stops waiting at the deadline.
#[derive(Clone)]
pub(super) struct Deadline<S> {
    inner: S,
    service: &'static str,
}

impl<S: Step> Service<Call> for Deadline<S> {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        let (service, deadline) = (self.service, call.deadline);
        let answer = timeout_at(deadline, self.inner.call(call));
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(Failure::late(service))) })
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::testing::{Upstream, call};

    #[tokio::test(start_paused = true)]
    async fn a_silent_upstream_is_waited_for_until_the_deadline_only() {
        let mut stack = DeadlineLayer { service: "shop" }.layer(Upstream::silent());
        let call = call();
        let deadline = call.deadline;
        let late = stack.call(call).await.expect_err("late");
        assert!(late.is_unknown());
        assert_eq!(late.status().code(), Code::DeadlineExceeded);
        assert!(tokio::time::Instant::now().duration_since(deadline).as_millis() <= 1);
    }
}
