//! What clients notice when every process of a deployment is replaced, and when some are
//! killed: availability, and how long answers take. Two replicas of each service and
//! two gateways on a real Postgres, under an open load of reads and orders.
//!
//! Three phases: nothing happens; every replica is replaced twice, one after the
//! other; one replica of each part is killed and comes again. A request counts as it
//! was first sent: any answer but 2xx, and none, is a failure. What a client then
//! gets by asking again, with the same idempotency key, is told apart. Fails when a
//! request fails while replicas are replaced, when an order is there twice or not at
//! all, or when `hansang verify` finds something. A slow machine gets another
//! `HANSANG_RATE`, `HANSANG_ROUNDS` and `HANSANG_PATIENCE`.

mod clients;
mod deployment;
#[path = "../../tests/parts.rs"]
#[expect(dead_code, reason = "here no process runs everything")]
mod parts;
#[path = "../../tests/shop.rs"]
mod shop;

use std::{process::ExitCode, str::FromStr, time::Duration};

use app::rest::Rest;
use serde_json::json;

use crate::{
    clients::{Clients, Front, Phase},
    deployment::{Deployment, REPLICAS},
};

const ROUNDS: usize = 2;
/// Requests a second.
const RATE: u32 = 100;
const MEMBERS: usize = 8;
const WARM_UP: Duration = Duration::from_secs(3);
const QUIET: Duration = Duration::from_secs(10);
/// Between two kills: callers have found out, and found back.
const CALM: Duration = Duration::from_millis(500);
/// The whole of it.
const LIMIT: Duration = Duration::from_secs(230);

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let limit = LIMIT * told("HANSANG_PATIENCE", 1);
    match tokio::time::timeout(limit, measure()).await {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(_) => eprintln!("rolling: not within {limit:?}"),
    }
    ExitCode::FAILURE
}

/// What the environment says.
fn told<T: FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|told| told.parse().ok()).unwrap_or(otherwise)
}

/// Measures and prints; whether everything is as it must be.
async fn measure() -> bool {
    let (rate, rounds) = (told("HANSANG_RATE", RATE), told("HANSANG_ROUNDS", ROUNDS));
    let mut deployment = Deployment::open().await;
    let front = Front::open(deployment.gateways());
    let anyone = Rest::new(front.first_ready().await);
    let product = shop::products(&anyone, deployment.dir(), 1).await.remove(0);
    let members = shop::members(&anyone, "member", MEMBERS).await;
    can_be_bought(&members[0].1, &product).await;
    let before = deployment.orders().await;
    let mut clients = Clients::new(front, product, members, rate);

    let parts = deployment.parts();
    head(parts.len() - 1, rate);
    let warm = clients.ask_during(tokio::time::sleep(WARM_UP)).await;
    let quiet = clients.ask_during(tokio::time::sleep(QUIET)).await;
    print("nothing", 0, &quiet);
    let rolling = async {
        for part in std::iter::repeat_n(&parts, rounds).flatten() {
            for _ in 0..REPLICAS {
                deployment.replace(part).await;
            }
        }
    };
    let rolling = clients.ask_during(rolling).await;
    print("replaced", rounds * REPLICAS * parts.len(), &rolling);
    let killing = async {
        for part in &parts {
            deployment.kill_one(part).await;
            tokio::time::sleep(CALM).await;
        }
    };
    let killing = clients.ask_during(killing).await;
    print("killed", parts.len(), &killing);

    println!("\ngoal while processes are replaced: 0 failed, {:.2} %", 100.0);
    println!("for comparison, a shop without readiness probes at 97 requests a second: 69.25 %");
    let whole = once_each(&mut deployment, before, &[&warm, &quiet, &rolling, &killing]).await;
    println!("\nhansang verify");
    let holds = deployment.verify().await;
    deployment.close().await;
    whole && holds && rolling.failed() == 0
}

/// Waits until order has heard of the product.
async fn can_be_bought(member: &Rest, product: &str) {
    let began = std::time::Instant::now();
    loop {
        let lines = json!([{ "productId": product, "quantity": 1 }]);
        let body = json!({ "paymentMethod": "WALLET", "lines": lines });
        let answer = member.post("/v1/orders", body).await.expect("an answer");
        if answer.status == 201 {
            return;
        }
        assert!(began.elapsed() < parts::STARTED, "nothing can be bought: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn head(services: usize, rate: u32) {
    println!("\n{REPLICAS} replicas of each of {services} services and of the gateway");
    println!("{rate} requests a second: 40 % a product, 40 % My Page, 20 % orders by wallet\n");
    println!(
        "{:<10} {:>9} {:>9} {:>7} {:>13} {:>10} {:>8} {:>8}",
        "", "processes", "requests", "failed", "availability", "answers/s", "p50 ms", "p99 ms"
    );
}

fn print(what: &str, processes: usize, phase: &Phase) {
    println!(
        "{what:<10} {processes:>9} {:>9} {:>7} {:>11.2} % {:>10.1} {:>8.1} {:>8.1}",
        phase.sent(),
        phase.failed(),
        phase.availability(),
        phase.first.throughput(),
        phase.first.quantile(0.5),
        phase.first.quantile(0.99),
    );
    for (how, times) in &phase.failures {
        println!("    {times} × {how}");
    }
    if phase.failed() > 0 {
        println!(
            "    asked again with the same key: {} answered, the last after {:.1} s; {} never",
            phase.failed() - phase.never,
            phase.longest.as_secs_f64(),
            phase.never,
        );
    }
}

/// Whether each order that was answered is there, and none a second time.
async fn once_each(deployment: &mut Deployment, before: u64, phases: &[&Phase]) -> bool {
    let sum = |of: fn(&Phase) -> u64| phases.iter().map(|phase| of(phase)).sum::<u64>();
    let (answered, doubtful) = (sum(|phase| phase.ordered), sum(|phase| phase.never));
    let there = deployment.orders().await - before;
    println!("orders answered {answered}, in order's database {there}");
    (answered..=answered + doubtful).contains(&there)
}
