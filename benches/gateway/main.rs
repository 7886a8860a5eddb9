//! What the gateway costs, beside Envoy and beside gRPC without either, in one run.
//!
//! A real deployment on a real Postgres and the load on one core; whoever is measured,
//! gateway or Envoy (transcoder and JWT filter on), alone on another. Rounds
//! alternate, medians count. Then the whole deployment on one core under an open load of
//! several times its peak. Goals: section by section in what is printed.

mod direct;
mod envoy;
mod overload;
mod place;

use std::time::Duration;

use app::load::{self, Options, Report};
use tokio_util::sync::CancellationToken;

use crate::place::{Place, Subject};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 16;

/// One thing that is asked for, of both.
struct Case {
    name: &'static str,
    path: String,
    body: Option<&'static str>,
    /// The status that is right.
    status: u16,
    /// One of two endpoints of the product service is dead.
    half_dead: bool,
}

/// One round of one subject.
struct Round {
    report: Report,
    /// CPU of the subject, microseconds a request.
    cpu: f64,
    /// Answers with another status than the right one, and none at all.
    wrong: u64,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    place::pin(std::process::id(), place::LOAD);
    let place = Place::open().await;
    if std::env::args().any(|argument| argument == "overload") {
        return overload::measure(&place).await;
    }
    let gateways = [
        (place.gateway(false).await, place.gateway(true).await),
        (envoy::start(&place, false).await, envoy::start(&place, true).await),
    ];
    println!("\none core for the gateway or Envoy, one for the deployment and the load\n");
    println!(
        "{:<28} {:<8} {:>9} {:>9} {:>8} {:>8} {:>6}",
        "", "", "µs CPU", "req/s", "p50 ms", "p99 ms", "wrong"
    );
    let mut ratios = Vec::new();
    for case in cases(&place) {
        let subject = |pair: &(Subject, Subject)| {
            let (whole, half) = pair;
            if case.half_dead { half.clone() } else { whole.clone() }
        };
        let [ours, envoys] = [subject(&gateways[0]), subject(&gateways[1])];
        let mut rounds = [Vec::new(), Vec::new()];
        // The first of each only warms up.
        for round in 0..=ROUNDS {
            for (subject, rounds) in [&ours, &envoys].into_iter().zip(&mut rounds) {
                let done = measure(&place, subject, &case).await;
                if round > 0 {
                    rounds.push(done);
                }
            }
        }
        let cpu = ["gateway", "Envoy"].iter().zip(&rounds).map(|(name, rounds)| {
            print(case.name, name, rounds);
            median(rounds.iter().map(|round| round.cpu))
        });
        let cpu: Vec<_> = cpu.collect();
        ratios.push((case.name, cpu[0] / cpu[1]));
    }
    println!("\nCPU a request, gateway / Envoy; goal for one product: at most 0.50");
    for (name, ratio) in ratios {
        println!("{name:<28} {ratio:>6.2}");
    }
    drop(gateways);
    beside_direct(&place).await;
    overload::measure(&place).await;
}

fn cases(place: &Place) -> [Case; 4] {
    let one = format!("/v1/products/{}", place.product);
    let case = |name, path: &str, body, status, half_dead| Case {
        name,
        path: path.to_owned(),
        body,
        status,
        half_dead,
    };
    [
        case("GET one product", &one, None, 200, false),
        case("GET a list of 20", "/v1/products?pageSize=20", None, 200, false),
        case("POST a bad order", "/v1/orders", Some(r#"{"lines":[{"quantity":"x"}]}"#), 400, false),
        case("GET, one of two dead", &one, None, 200, true),
    ]
}

async fn measure(place: &Place, subject: &Subject, case: &Case) -> Round {
    let before = subject.cpu();
    let report = load(place, subject, case, None, CONNECTIONS).await;
    let spent = subject.cpu().saturating_sub(before);
    let answered = report.answered().max(1);
    let right = report.statuses.get(&case.status).copied().unwrap_or_default();
    let wrong = report.answered() - right + report.lost;
    let answered = u32::try_from(answered).expect("a round is short");
    Round { report, cpu: spent.as_secs_f64() * 1e6 / f64::from(answered), wrong }
}

async fn load(
    place: &Place,
    subject: &Subject,
    case: &Case,
    rate: Option<f64>,
    connections: usize,
) -> Report {
    let options = Options {
        url: format!("http://{}{}", subject.http, case.path).parse().expect("a URL"),
        body: case.body.map(str::to_owned),
        token: Some(place.token.clone()),
        rate,
        connections,
        seconds: ROUND.as_secs_f64(),
    };
    load::load(&options, CancellationToken::new()).await.expect("loads")
}

fn print(case: &str, subject: &str, rounds: &[Round]) {
    let of = |get: fn(&Round) -> f64| median(rounds.iter().map(get));
    println!(
        "{case:<28} {subject:<8} {:>9.1} {:>9.0} {:>8.2} {:>8.2} {:>6}",
        of(|round| round.cpu),
        of(|round| round.report.throughput()),
        of(|round| round.report.quantile(0.5)),
        of(|round| round.report.quantile(0.99)),
        rounds.iter().map(|round| round.wrong).sum::<u64>(),
    );
}

/// The same product by gRPC, without a gateway; both with all cores.
async fn beside_direct(place: &Place) {
    place.spread();
    let gateway = place.gateway(false).await;
    place::unpin(gateway.pid());
    place::unpin(std::process::id());
    let case = &cases(place)[0];
    let (mut through, mut past) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let report = load(place, &gateway, case, None, CONNECTIONS).await;
        let direct = direct::load(place, CONNECTIONS, ROUND).await;
        if round > 0 {
            through.push(report.throughput());
            past.push(direct);
        }
    }
    let (through, past) = (median(through.into_iter()), median(past.into_iter()));
    println!("\nthe same cores for all: GET one product");
    println!("through the gateway   {through:>8.0} requests a second");
    println!("gRPC, without it      {past:>8.0} requests a second");
    println!("ratio                 {:>8.2}   goal: 0.65", through / past);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
