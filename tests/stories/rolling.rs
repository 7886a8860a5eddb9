//! A rolling restart under load: every process is replaced, one after the other, and no
//! request is lost. Twice here; `HANSANG_ROUNDS=10` has it ten times.

use std::time::Instant;

use app::run::SERVICES;

use super::load::Load;
use crate::deployment::Deployment;

#[tokio::test(flavor = "multi_thread")]
async fn replacing_every_process_under_load_loses_no_request() {
    let rounds = std::env::var("HANSANG_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let mut deployment = Deployment::split("rolling").await;
    deployment.make_room().await;
    let load = Load::begin(&deployment).await;
    let begun = Instant::now();
    let parts: Vec<_> = SERVICES.iter().map(|service| service.name).chain(["gateway"]).collect();
    for _ in 0..rounds {
        for part in &parts {
            load.replace(&mut deployment, part).await;
        }
    }
    let took = begun.elapsed();
    let answered = load.end().await;
    println!(
        "{} processes replaced in {took:.1?}: {} requests answered, {} lost, the slowest in {:.0?}",
        rounds * parts.len(),
        answered.count,
        answered.lost.len(),
        answered.slowest
    );
    assert_eq!(answered.lost, [""; 0]);
    assert!(answered.count > 100, "there was load");
    deployment.all_holds().await;
}
