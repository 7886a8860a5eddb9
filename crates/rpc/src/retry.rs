//! Retry: tries again what the way to the callee lost, not what the callee
//! answered, so that along a path of calls only the layer next to the failure
//! retries. Differs from the breaker in caring for one call; the token budget
//! keeps all of them together from multiplying the load of an outage.
//!
//! A retry takes a token and a success gives a tenth of one back. The callee's
//! `grpc-retry-pushback-ms` (gRPC proposal A6) decides when it is there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base::backoff::Backoff;
use tokio::time::{Instant, sleep};
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};

use super::{Answer, Call, Failure, Reply, Step, metrics};

/// gRPC's own key: how long to wait before the next try, in milliseconds; below 0 means not to try.
pub(super) const PUSHBACK: &str = "grpc-retry-pushback-ms";
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";

/// Tokens for retries, in thousandths.
#[derive(Debug)]
struct Budget {
    service: &'static str,
    tokens: AtomicI64,
    most: i64,
}

impl Budget {
    fn new(service: &'static str, tokens: u32) -> Self {
        metrics::known(service, tokens.into());
        let most = i64::from(tokens) * 1000;
        Self { service, tokens: AtomicI64::new(most), most }
    }

    fn succeeded(&self) {
        let add = |tokens: i64| (tokens < self.most).then(|| (tokens + 100).min(self.most));
        if let Ok(before) = self.tokens.try_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            metrics::tokens_left(self.service, (before + 100).min(self.most) / 1000);
        }
    }

    fn take(&self) -> bool {
        let take = |tokens: i64| (tokens >= 1000).then_some(tokens - 1000);
        let taken = self.tokens.try_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if let Ok(before) = taken {
            metrics::retried(self.service);
            metrics::tokens_left(self.service, before / 1000 - 1);
        }
        taken.is_ok()
    }
}

/// Puts [`Retry`] around a service.
#[derive(Clone)]
pub(super) struct RetryLayer {
    budget: Arc<Budget>,
}

impl RetryLayer {
    pub(super) fn new(service: &'static str, tokens: u32) -> Self {
        Self { budget: Arc::new(Budget::new(service, tokens)) }
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry { inner, budget: Arc::clone(&self.budget) }
    }
}

/// Tries again.
#[derive(Clone)]
pub(super) struct Retry<S> {
    inner: S,
    budget: Arc<Budget>,
}

impl<S: Step> Service<Call> for Retry<S> {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        Box::pin(run(self.inner.clone(), Arc::clone(&self.budget), call))
    }
}

async fn run(mut inner: impl Step, budget: Arc<Budget>, mut call: Call) -> Result<Reply, Failure> {
    let mut attempt = 1;
    let mut may_have_run = false;
    loop {
        let failure = match inner.call(call.clone()).await {
            Ok(reply) => {
                budget.succeeded();
                return Ok(reply);
            }
            Err(failure) => failure,
        };
        may_have_run |= failure.is_unknown();
        let pause = pause(&call, &failure, attempt)
            .filter(|pause| Instant::now() + *pause < call.deadline && budget.take());
        let Some(pause) = pause else {
            // A later try that never ran says nothing of an earlier one that may have.
            return Err(match failure {
                Failure::NeverRan(status) if may_have_run => Failure::Unknown(status),
                failure => failure,
            });
        };
        sleep(pause).await;
        call.metadata.insert(PREVIOUS_ATTEMPTS, MetadataValue::from(attempt));
        attempt += 1;
    }
}

/// How long to wait before trying again; none: not at all.
fn pause(call: &Call, failure: &Failure, attempt: u32) -> Option<Duration> {
    let harmless = failure.never_ran() || (failure.is_unknown() && call.repeatable());
    if !harmless || attempt >= call.policy.attempts {
        return None;
    }
    if let Some(pushback) = failure.status().metadata().get(PUSHBACK) {
        return pushback.to_str().ok()?.parse().ok().map(Duration::from_millis);
    }
    let backoff = Backoff::new(call.policy.backoff, call.policy.max_backoff);
    failure.of_transport().then(|| backoff.after(attempt - 1).pause())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Upstream, away, call, keyed, lost, refused, reply};

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_ran_is_tried_again() {
        let upstream = Upstream::script([Err(away()), Err(away()), Ok(reply())]);
        let mut stack = RetryLayer::new("shop", 10).layer(upstream.clone());
        assert!(stack.call(call()).await.is_ok());
        assert_eq!(upstream.calls(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_call_is_tried_again_only_with_a_key() {
        let upstream = Upstream::script([Err(lost()), Ok(reply())]);
        let mut stack = RetryLayer::new("shop", 10).layer(upstream.clone());
        assert!(stack.call(call()).await.expect_err("lost").is_unknown());
        assert_eq!(upstream.calls(), 1);
        assert!(stack.call(keyed()).await.is_ok());

        let upstream = Upstream::script([Err(lost()), Ok(reply())]);
        assert!(RetryLayer::new("shop", 10).layer(upstream).call(keyed()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_callee_answered_is_not_tried_again_unless_it_asks_for_it() {
        let upstream = Upstream::script([Err(refused()), Ok(reply())]);
        let mut stack = RetryLayer::new("shop", 10).layer(upstream.clone());
        assert!(stack.call(keyed()).await.is_err());
        assert_eq!(upstream.calls(), 1);

        let mut busy = tonic::Status::unavailable("busy");
        busy.metadata_mut().insert(PUSHBACK, MetadataValue::from(700));
        let upstream = Upstream::script([Err(Failure::Unknown(busy)), Ok(reply())]);
        let begun = Instant::now();
        assert!(RetryLayer::new("shop", 10).layer(upstream).call(keyed()).await.is_ok());
        assert_eq!(begun.elapsed().as_millis(), 700);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_may_have_run_stays_unknown() {
        let upstream = Upstream::script([Err(lost()), Err(away()), Err(away())]);
        let failure =
            RetryLayer::new("shop", 10).layer(upstream).call(keyed()).await.expect_err("lost");
        assert!(failure.is_unknown());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_uses_the_budget_up_and_successes_fill_it() {
        let upstream = Upstream::always(Err(away()));
        let layer = RetryLayer::new("shop", 10);
        let mut stack = layer.layer(upstream.clone());
        for _ in 0..20 {
            assert!(stack.call(call()).await.is_err());
        }
        assert_eq!(upstream.calls(), 20 + 10);
        for _ in 0..10 {
            assert!(layer.layer(Upstream::always(Ok(reply()))).call(call()).await.is_ok());
        }
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 20 + 10 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn no_pause_outlasts_the_deadline() {
        let upstream = Upstream::always(Err(away()));
        let mut call = call();
        call.deadline = Instant::now();
        assert!(RetryLayer::new("shop", 10).layer(upstream.clone()).call(call).await.is_err());
        assert_eq!(upstream.calls(), 1);
    }
}
