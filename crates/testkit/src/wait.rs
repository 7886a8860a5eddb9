//! Waiting for a condition.

use std::{future::Future, time::Duration};

/// How many times as long as usual a test waits: `HANSANG_PATIENCE=3` on a slow machine.
pub fn patience() -> u32 {
    std::env::var("HANSANG_PATIENCE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Asks until the answer is there; within 10 s.
///
/// # Panics
/// When it is not.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(10) * patience();
    let answer = tokio::time::timeout(limit, asking).await;
    answer.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"))
}

/// Waits until something is so; within a minute.
///
/// # Panics
/// When it is not.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let limit = Duration::from_mins(1) * patience();
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| panic!("not within {limit:?}: {what}"));
}
