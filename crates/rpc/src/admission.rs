//! Admission: at most so many calls to one upstream at once; one more is refused
//! at once, never queued. Differs from the breaker in what it looks at: how much
//! is under way, not how it goes.

use std::{future::ready, sync::Arc, time::Duration};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Semaphore;
use tower::{Layer, Service};

use super::{Answer, Call, Failure, Step, metrics};

/// Puts [`Admission`] around a service.
#[derive(Clone)]
pub(super) struct AdmissionLayer {
    service: &'static str,
    places: Arc<Semaphore>,
    active: Gauge,
}

impl AdmissionLayer {
    pub(super) fn new(service: &'static str, concurrency: usize) -> Self {
        let (places, active) = (Arc::new(Semaphore::new(concurrency)), metrics::active(service));
        Self { service, places, active }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission { inner, gate: self.clone() }
    }
}

/// Refuses what is too much.
#[derive(Clone)]
pub(super) struct Admission<S> {
    inner: S,
    gate: AdmissionLayer,
}

impl<S: Step> Service<Call> for Admission<S> {
    always_ready!();

    fn call(&mut self, call: Call) -> Answer {
        let Ok(place) = Arc::clone(&self.gate.places).try_acquire_owned() else {
            metrics::refused(self.gate.service, "concurrency");
            let why = "too many calls are under way";
            let failure = Failure::unreachable(self.gate.service, Duration::from_secs(1), why);
            return Box::pin(ready(Err(failure)));
        };
        let active = metrics::One::of(&self.gate.active);
        let answer = self.inner.call(call);
        Box::pin(async move {
            let answer = answer.await;
            drop((place, active));
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Upstream, call};

    #[tokio::test]
    async fn one_call_too_many_is_refused_at_once() {
        let upstream = Upstream::silent();
        let mut stack = AdmissionLayer::new("shop", 1).layer(upstream.clone());
        let first = tokio::spawn(stack.call(call()));
        tokio::task::yield_now().await;
        let second = stack.call(call()).await.expect_err("refused");
        assert!(second.never_ran());
        assert_eq!(upstream.calls(), 1);
        first.abort();
        let _ = first.await;
        let third = tokio::spawn(stack.call(call()));
        tokio::task::yield_now().await;
        assert_eq!(upstream.calls(), 2);
        third.abort();
    }
}
