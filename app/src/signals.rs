//! How the process is told to stop: Ctrl-C or SIGTERM once means in good
//! order, a second time means now.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Cancelled by the first signal.
pub(crate) fn stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be caught");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be caught");
    tokio::spawn(async move {
        let mut told = async || {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        };
        told().await;
        token.cancel();
        told().await;
        eprintln!("hansang: stopped at once");
        end_now();
    });
    stop
}

#[expect(clippy::disallowed_methods, reason = "the second Ctrl-C waits for nothing")]
fn end_now() -> ! {
    // An embedded Postgres sees the pipe close, and ends in good order by itself.
    std::process::exit(INTERRUPTED)
}
