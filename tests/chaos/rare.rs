//! What is to happen in a run though it seldom does: a fault that never bites tests
//! nothing. Counted by what clients see, and by the processes' metrics where they see
//! nothing of it.

use std::{collections::HashMap, time::Duration};

use tokio::time::sleep;

use crate::shop::Shop;

/// What has to happen, by the length of a run from which on it is expected, in seconds; shorter
/// runs only warn.
pub(crate) const EXPECTED: &[(&str, u64)] = &[
    ("unavailable", 60),
    ("answered by a repeated key", 120),
    ("replayed long after", 120),
    ("compensated: out of stock", 120),
    ("refused: insufficient balance", 120),
    ("orders with a coupon", 120),
    ("orders with points", 120),
    ("orders with a part from the wallet", 120),
    ("lines cancelled", 120),
    ("coupons issued", 120),
    ("done by hand", 120),
    ("roles changed", 120),
    ("held deposits seen to", 300),
    ("payouts sent", 300),
    ("payouts failed", 300),
    ("returns accepted", 300),
    ("parcels with an address", 300),
    ("deposit expired", 300),
    ("in doubt", 300),
    ("taken up by a task", 300),
    ("breaker refused", 300),
    ("consumer taken over", 300),
    ("returns rejected", 600),
    ("orders that cost nothing", 600),
    ("points expired", 600),
    ("set aside", 600),
];
const LOOK: Duration = Duration::from_secs(1);

/// Looks at all processes' metrics until dropped.
pub(crate) async fn watch(shop: &Shop) {
    let mut seen: HashMap<String, f64> = HashMap::new();
    // Which process ran a consumer last.
    let mut runs: HashMap<String, String> = HashMap::new();
    loop {
        sleep(LOOK).await;
        for slot in shop.system.slots() {
            let rest = shop.rest.at(format!("http://{}", slot.grpc));
            let asked = tokio::time::timeout(Duration::from_millis(500), rest.get("/metrics"));
            let Ok(Ok(answer)) = asked.await else { continue };
            let Some(text) = answer.body.as_str() else { continue };
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((series, value)) = line.rsplit_once(' ') else { continue };
                let Ok(value) = value.parse::<f64>() else { continue };
                if series.starts_with("hansang_consumer_active") && value > 0.0 {
                    let consumer = series.to_owned();
                    let before = runs.insert(consumer, slot.label.clone());
                    let other = before.is_some_and(|before| before != slot.label);
                    shop.count("consumer taken over", other.into());
                }
                let Some(what) = counted(series) else { continue };
                let before = seen.insert(format!("{} {series}", slot.label), value);
                shop.count(what, risen(before.unwrap_or_default(), value));
            }
        }
    }
}

/// What a series says, if it is one of those that are counted.
fn counted(series: &str) -> Option<&'static str> {
    let is = |parts: &[&str]| parts.iter().all(|part| series.contains(part));
    if is(&["hansang_rpc_refused_total", "breaker"]) {
        Some("breaker refused")
    } else if is(&["hansang_task_runs_total", "done"])
        && ["cancel-payment", "confirm-deposit", "abort-card-order"].iter().any(|t| is(&[t]))
    {
        Some("taken up by a task")
    } else if is(&["hansang_consumer_parked"]) {
        Some("set aside")
    } else {
        None
    }
}

/// By how much a counter has grown; a process that started again began at 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small whole numbers")]
fn risen(before: f64, now: f64) -> u64 {
    let since = if now >= before { now - before } else { now };
    since.max(0.0) as u64
}

/// What never happened although the run was long enough, and what never happened in a short one.
pub(crate) fn missing(shop: &Shop, seconds: u64) -> (Vec<&'static str>, Vec<&'static str>) {
    let tally = shop.tally();
    let never = EXPECTED.iter().filter(|(what, _)| !tally.contains_key(what));
    let (must, may): (Vec<_>, Vec<_>) = never.partition(|(_, from)| seconds >= *from);
    let names = |of: Vec<&(&'static str, u64)>| of.into_iter().map(|(what, _)| *what).collect();
    (names(must), names(may))
}
