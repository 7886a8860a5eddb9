//! How the process is told to stop: Ctrl-C or SIGTERM once means in good
//! order, a second time means now. One that another process keeps ends with it.

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
        eprintln!("hansang: stopped immediately");
        end_now();
    });
    stop
}

/// Ends this process when its standard input closes: whoever holds the other end is gone, however
/// that happened, and so is the Postgres that it kept. A thread, which nothing else holds up.
pub(crate) fn end_with_keeper() -> std::io::Result<()> {
    std::thread::Builder::new().name("lifeline".to_owned()).spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        end_now();
    })?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "these ends wait for nothing")]
fn end_now() -> ! {
    // An embedded Postgres sees the pipe close, and ends in good order by itself.
    std::process::exit(INTERRUPTED)
}
