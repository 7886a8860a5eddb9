//! How long to wait before the next try: twice as long each time, up to a cap,
//! and never the same for two who wait for the same thing.

use std::time::Duration;

/// Waiting times.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    /// From about `base` to about `cap`.
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, tries: 0 }
    }

    /// The same, after so many tries.
    #[must_use]
    pub fn after(self, tries: u32) -> Self {
        Self { tries, ..self }
    }

    /// The next waiting time.
    pub fn pause(&mut self) -> Duration {
        let whole = self.base.saturating_mul(2_u32.saturating_pow(self.tries)).min(self.cap);
        self.tries = self.tries.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..1.0))
    }

    /// True until the first waiting time was asked for.
    pub fn is_fresh(&self) -> bool {
        self.tries == 0
    }

    /// It worked: the next waiting time is the first.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}
