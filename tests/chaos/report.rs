//! What a run says of itself: how it goes, and how it went.

use std::{
    fs,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};

use crate::{faults::Counted, rare, shop::Shop};

const EVERY: Duration = Duration::from_secs(10);

/// Says how it goes, until dropped.
pub(crate) async fn progress(shop: Arc<Shop>, counted: Arc<Counted>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tick.tick().await;
        println!("{:>6} s  {}", shop.history.now().as_secs(), line(&shop, &counted));
    }
}

fn line(shop: &Shop, counted: &Counted) -> String {
    let faults = counted.by_kind();
    let faults: Vec<_> = faults.iter().map(|(kind, times)| format!("{kind} {times}")).collect();
    let counts = &shop.system.counts;
    format!(
        "{} operations; faults: {}; {} kills, {} starts, {} ended by themselves; {} violations",
        shop.operations.load(Ordering::Relaxed),
        faults.join(", "),
        counts.kills.load(Ordering::Relaxed),
        counts.starts.load(Ordering::Relaxed),
        counts.ended.load(Ordering::Relaxed),
        shop.wrong.load(Ordering::Relaxed),
    )
}

/// A process that panicked has met something that it should know how to deal with.
pub(crate) fn panics(shop: &Shop) {
    for entry in fs::read_dir(shop.system.logs()).into_iter().flatten().flatten() {
        let log = fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
            shop.wrong(&[], format!("{}: {line}", entry.path().display()));
        }
    }
}

/// Says how it went; the status to leave with.
pub(crate) fn summary(shop: &Shop, counted: &Counted, seconds: u64) -> ExitCode {
    println!("\nchaos: seed {}: {}", shop.seed, line(shop, counted));
    for (what, times) in shop.tally() {
        println!("    {times:>6} × {what}");
    }
    let (must, may) = rare::missing(shop, seconds);
    for what in may {
        println!("chaos: warning: never happened, as may be in so short a run: {what}");
    }
    for what in &must {
        println!("chaos: never happened, though {seconds} s are enough for it: {what}");
    }
    let wrong = shop.wrong.load(Ordering::Relaxed);
    for violation in shop.violations().iter() {
        println!("\nchaos: VIOLATION: {}", violation.what);
        for step in &violation.steps {
            println!("    {step}");
        }
    }
    if wrong == 0 && must.is_empty() {
        println!("chaos: seed {}: what the API shows is what was expected", shop.seed);
        return ExitCode::SUCCESS;
    }
    println!(
        "\nchaos: {wrong} violations; again with: make chaos SEED={} SECONDS={seconds}; logs: {}",
        shop.seed,
        shop.system.logs().display()
    );
    ExitCode::FAILURE
}
