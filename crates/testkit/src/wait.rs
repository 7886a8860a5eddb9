//! Waiting for a condition.

use std::{future::Future, time::Duration};

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
    let answer = tokio::time::timeout(Duration::from_secs(10), asking).await;
    answer.unwrap_or_else(|_| panic!("not within 10 s: {what}"))
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
    let waited = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    waited.unwrap_or_else(|_| panic!("not within a minute: {what}"));
}
