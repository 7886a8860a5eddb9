//! Circuit breaker: leaves an upstream alone that mostly fails or mostly
//! dawdles, and asks it again with a few probes. Differs from retry in caring
//! for the upstream, not for the call. Each class of calls has its own, so that
//! writes that hang do not take the reads with them.
//!
//! Only the way to the upstream and its silence count: what it answers never
//! trips the breaker, be it a refusal or its own trouble with a third party.

use std::{
    collections::HashMap,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tower::{Layer, Service};

use super::{
    Answer, Call, Class, Failure, Policy, Step, metrics,
    retry::PUSHBACK,
    window::{Went, Window},
};

/// When a breaker opens, and for how long. Each call brings its own: how it went is judged by them.
#[derive(Clone, Copy, Debug)]
pub struct BreakerLimits {
    /// How far back it looks.
    pub window: Duration,
    /// Fewer calls than this in the window decide nothing.
    pub least_calls: u32,
    /// The share of failed calls that opens it, in percent; over 100 is never.
    pub failed_percent: u32,
    /// A call that takes this long is slow. Above the deadline of calls between services, so that
    /// an upstream that waits for a third one is not taken for the culprit.
    pub slow: Duration,
    /// The share of slow calls that opens it, in percent; over 100 is never.
    pub slow_percent: u32,
    /// How long it stays open before it lets probes through.
    pub open: Duration,
    /// Probes that must succeed before it closes.
    pub probes: u32,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            least_calls: 10,
            failed_percent: 50,
            slow: Duration::from_secs(3),
            slow_percent: 80,
            open: Duration::from_secs(1),
            probes: 1,
        }
    }
}

impl BreakerLimits {
    fn half_open(&self) -> State {
        State::HalfOpen { free: self.probes, wanted: self.probes }
    }
}

#[derive(Debug)]
enum State {
    Closed(Box<Window>),
    Open {
        until: Instant,
    },
    /// `free` probes may still start, `wanted` must still succeed.
    HalfOpen {
        free: u32,
        wanted: u32,
    },
}

impl State {
    /// As the gauge has it.
    fn number(&self) -> i64 {
        match self {
            Self::Closed(_) => 0,
            Self::HalfOpen { .. } => 1,
            Self::Open { .. } => 2,
        }
    }
}

/// Puts [`Breaker`] around a service.
#[derive(Clone)]
pub(super) struct BreakerLayer {
    service: &'static str,
    states: Arc<Mutex<HashMap<Class, State>>>,
}

impl BreakerLayer {
    pub(super) fn new(service: &'static str) -> Self {
        Self { service, states: Arc::default() }
    }

    /// Reads and changes the state of a class.
    fn of<T>(&self, class: Class, change: impl FnOnce(&mut State) -> T) -> T {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(class).or_insert_with(|| {
            metrics::breaker(self.service, class, 0);
            State::Closed(Box::default())
        });
        let before = state.number();
        let answer = change(state);
        let now = state.number();
        if before != now {
            metrics::breaker(self.service, class, now);
            let (service, class) = (self.service, class.name());
            match now {
                2 => tracing::warn!(service, class, "circuit breaker open, refusing calls"),
                1 => tracing::info!(service, class, "circuit breaker half-open, probing"),
                _ => tracing::info!(service, class, "circuit breaker closed"),
            }
        }
        answer
    }

    /// Lets a call through, or says how long the breaker stays open.
    fn admit(&self, call: &Call, now: Instant) -> Result<Pass, Duration> {
        let Policy { class, breaker: limits, .. } = call.policy;
        let probe = self.of(class, |state| {
            if let State::Open { until } = *state {
                if now < until {
                    return Err(until - now);
                }
                *state = limits.half_open();
            }
            match state {
                State::HalfOpen { free: 0, .. } => Err(limits.open),
                State::HalfOpen { free, .. } => {
                    *free -= 1;
                    Ok(true)
                }
                State::Closed(_) | State::Open { .. } => Ok(false),
            }
        })?;
        let (breaker, deadline) = (self.clone(), call.deadline);
        Ok(Pass { breaker, class, limits, probe, begun: now, deadline, told: false })
    }

    fn record(&self, pass: &Pass, now: Instant, failed: bool) {
        let slow = now.duration_since(pass.begun) >= pass.limits.slow;
        let open = State::Open { until: now + pass.limits.open };
        self.of(pass.class, |state| match state {
            State::Closed(window) => {
                if window.count(&pass.limits, now, Went { failed, slow }) {
                    *state = open;
                }
            }
            // An answer to a call from before the circuit breaker open, refusing calls decides nothing.
            State::HalfOpen { .. } if !pass.probe => {}
            State::HalfOpen { .. } if failed || slow => *state = open,
            State::HalfOpen { wanted: 1, .. } => *state = State::Closed(Box::default()),
            State::HalfOpen { wanted, .. } => *wanted -= 1,
            State::Open { .. } => {}
        });
    }

    fn open(&self, rest: Duration) -> Failure {
        metrics::refused(self.service, "breaker");
        let mut failure = Failure::unreachable(self.service, rest, "its breaker is open");
        if let Failure::NeverRan(status) = &mut failure {
            status.metadata_mut().insert(PUSHBACK, MetadataValue::from(-1));
        }
        failure
    }
}

/// A call that the breaker let through, until it is known how it went.
struct Pass {
    breaker: BreakerLayer,
    class: Class,
    limits: BreakerLimits,
    probe: bool,
    begun: Instant,
    deadline: Instant,
    told: bool,
}

impl Pass {
    fn tell(mut self, failed: bool) {
        self.told = true;
        self.breaker.record(&self, Instant::now(), failed);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        // Given up. At the deadline that is the upstream's failure; else the caller has gone, and a
        // probe's place is free again.
        let now = Instant::now();
        if now >= self.deadline {
            self.breaker.record(self, now, true);
        } else if self.probe {
            self.breaker.of(self.class, |state| {
                if let State::HalfOpen { free, .. } = state {
                    *free += 1;
                }
            });
        }
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker { inner, breaker: self.clone() }
    }
}

/// Calls an upstream while that makes sense.
#[derive(Clone)]
pub(super) struct Breaker<S> {
    inner: S,
    breaker: BreakerLayer,
}

impl<S: Step> Service<Call> for Breaker<S> {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        match self.breaker.admit(&call, Instant::now()) {
            Ok(pass) => {
                let answer = self.inner.call(call);
                Box::pin(async move {
                    let answer = answer.await;
                    pass.tell(answer.as_ref().is_err_and(Failure::of_transport));
                    answer
                })
            }
            Err(rest) => Box::pin(ready(Err(self.breaker.open(rest)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::testing::{Upstream, away, call, refused, reply};

    fn breaker(upstream: &Upstream) -> Breaker<Upstream> {
        BreakerLayer::new("shop").layer(upstream.clone())
    }

    async fn open(stack: &mut Breaker<Upstream>) {
        for _ in 0..10 {
            assert!(stack.call(call()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_upstream_is_left_alone_and_then_probed() {
        let upstream = Upstream::always(Err(away()));
        let mut stack = breaker(&upstream);
        open(&mut stack).await;
        let failure = stack.call(call()).await.expect_err("open");
        assert!(failure.never_ran());
        assert_eq!(upstream.calls(), 10);

        sleep(Duration::from_secs(1)).await;
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 11, "one failed probe opens it again");
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 11);

        upstream.answer(Ok(reply()));
        sleep(Duration::from_secs(1)).await;
        for _ in 0..50 {
            assert!(stack.call(call()).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_class_of_calls_does_not_close_the_way_for_another() {
        let upstream = Upstream::always(Err(away()));
        let mut stack = breaker(&upstream);
        open(&mut stack).await;
        let mut read = call();
        read.policy.class = Class::READ;
        assert!(stack.call(read).await.is_err());
        assert_eq!(upstream.calls(), 11, "it was asked");
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 11, "it was left alone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_upstream_answers_never_opens_the_breaker() {
        let upstream = Upstream::always(Err(refused()));
        let mut stack = breaker(&upstream);
        for _ in 0..50 {
            assert!(stack.call(call()).await.is_err());
        }
        assert_eq!(upstream.calls(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_until_the_deadline_is_a_failure_and_a_caller_gone_is_none() {
        let upstream = Upstream::silent();
        let mut stack = breaker(&upstream);
        for _ in 0..20 {
            let _ = timeout(Duration::from_millis(1), stack.call(call())).await;
        }
        assert_eq!(upstream.calls(), 20);
        for _ in 0..10 {
            let mut call = call();
            call.deadline = Instant::now() + Duration::from_millis(100);
            let _ = timeout(Duration::from_millis(100), stack.call(call)).await;
        }
        assert!(stack.call(call()).await.expect_err("open").never_ran());
        assert_eq!(upstream.calls(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_upstream_is_left_alone() {
        let upstream = Upstream::slow(Duration::from_secs(4));
        let mut stack = breaker(&upstream);
        let slow = futures_util::future::join_all((0..10).map(|_| stack.call(call())));
        assert!(slow.await.iter().all(Result::is_ok));
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_brings_its_limits() {
        let upstream = Upstream::always(Err(away()));
        let mut stack = breaker(&upstream);
        let strict = |least_calls, open| {
            let mut call = call();
            call.policy.breaker = BreakerLimits { least_calls, open, ..BreakerLimits::default() };
            call
        };
        assert!(stack.call(strict(2, Duration::from_mins(1))).await.is_err());
        assert!(stack.call(strict(2, Duration::from_mins(1))).await.is_err());
        sleep(Duration::from_secs(59)).await;
        assert!(stack.call(call()).await.expect_err("open").never_ran());
        assert_eq!(upstream.calls(), 2);
        sleep(Duration::from_secs(1)).await;
        assert!(stack.call(call()).await.is_err());
        assert_eq!(upstream.calls(), 3, "it was probed");
    }

    #[tokio::test(start_paused = true)]
    async fn old_failures_are_forgotten() {
        let upstream = Upstream::always(Err(away()));
        let mut stack = breaker(&upstream);
        for _ in 0..9 {
            assert!(stack.call(call()).await.is_err());
        }
        sleep(Duration::from_secs(11)).await;
        upstream.answer(Ok(reply()));
        for _ in 0..5 {
            assert!(stack.call(call()).await.is_ok());
        }
        upstream.answer(Err(away()));
        assert!(stack.call(call()).await.is_err());
        upstream.answer(Ok(reply()));
        assert!(stack.call(call()).await.is_ok(), "one of six has failed");
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_runs_at_once_and_an_abandoned_one_is_replaced() {
        let upstream = Upstream::always(Err(away()));
        let mut stack = breaker(&upstream);
        open(&mut stack).await;
        sleep(Duration::from_secs(1)).await;
        upstream.fall_silent();
        let probe = Box::pin(stack.call(call()));
        assert!(stack.call(call()).await.expect_err("no place").never_ran());
        drop(probe);
        upstream.answer(Ok(reply()));
        assert!(stack.call(call()).await.is_ok());
        let together = futures_util::future::join_all((0..10).map(|_| stack.call(call())));
        assert!(together.await.iter().all(Result::is_ok), "one probe closes it");
    }
}
