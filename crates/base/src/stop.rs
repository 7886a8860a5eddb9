//! How a process stops, in two steps. Told to, it says that it is not ready and
//! serves on, so that whoever spreads the load looks elsewhere; then it closes:
//! nothing new is taken, and what is under way is finished.
//!
//! Waits for nothing itself: the servers do.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The two steps. Clones are the same stop.
#[derive(Clone, Debug)]
pub struct Stop {
    /// Not ready from here on.
    pub told: CancellationToken,
    /// Nothing new from here on.
    pub closing: CancellationToken,
}

impl Stop {
    /// Closes as soon as it is told.
    pub fn at_once(told: CancellationToken) -> Self {
        Self { closing: told.clone(), told }
    }

    /// Closes `pause` after it is told. Needs a tokio runtime.
    pub fn after(told: CancellationToken, pause: Duration) -> Self {
        if pause.is_zero() {
            return Self::at_once(told);
        }
        let closing = CancellationToken::new();
        let stop = Self { told, closing };
        let Self { told, closing } = stop.clone();
        tokio::spawn(async move {
            told.cancelled().await;
            tracing::info!(?pause, "draining: reporting not ready, still serving");
            tokio::time::sleep(pause).await;
            closing.cancel();
        });
        stop
    }

    /// Both steps at once: something has failed.
    pub fn now(&self) {
        self.told.cancel();
        self.closing.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_closes_the_pause_after_it_was_told() {
        let stop = Stop::after(CancellationToken::new(), Duration::from_secs(3));
        let begun = Instant::now();
        stop.told.cancel();
        stop.closing.cancelled().await;
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test]
    async fn without_a_pause_it_closes_at_once() {
        let stop = Stop::after(CancellationToken::new(), Duration::ZERO);
        stop.told.cancel();
        assert!(stop.closing.is_cancelled());
    }
}
