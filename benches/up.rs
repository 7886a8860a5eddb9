//! `hansang up`, for benches.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use app::rest::Rest;
use testkit::Up;

/// Starts a deployment on a data directory; answers once it does, and tells how long that took.
pub(crate) async fn start(dir: &Path) -> (Up, Rest, Duration) {
    let began = Instant::now();
    let mut up = Up::start(env!("CARGO_BIN_EXE_hansang"), dir, |_| {});
    let rest = Rest::new(format!("http://{}", up.http));
    while !rest.get("/v1/products").await.is_ok_and(|answer| answer.status.is_success()) {
        assert_eq!(up.program.ended(), None, "it does not start");
        assert!(began.elapsed() < Duration::from_mins(1), "it does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    (up, rest, began.elapsed())
}
