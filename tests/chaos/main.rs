//! `make chaos SEED=… SECONDS=…`: an auditor that knows the shop by its API alone.
//! Members, sellers and an admin do what they may, all at once, with few accounts and
//! few products; meanwhile processes are killed and stopped, Postgres is, connections
//! are cut, slow and silent, and clocks are moved. Then all is put right, and what the
//! API shows is compared with what a small model expects.
//!
//! Everything random comes from the seed: what each actor draws, and which faults come
//! when, to whom, for how long. What they meet does not: processes and networks are as
//! fast as they are, so a seed that found something may need a few runs to find it
//! again. An actor chooses among the orders that there are, which depends on that too.

mod actor;
mod audit;
mod besides;
mod command;
mod customer;
mod desk;
mod dice;
mod faults;
mod history;
mod model;
mod operator;
#[path = "../parts.rs"]
#[expect(dead_code, reason = "processes that end and start all the time are waited for otherwise")]
mod parts;
mod postgres;
mod proxy;
mod rare;
mod report;
mod shop;
mod staff;
mod system;
mod taken;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{signal::unix::SignalKind, task::JoinSet, time::sleep};

use crate::{
    actor::{Actor, Role},
    faults::Counted,
    shop::Shop,
    system::System,
};

/// Members at the beginning, and who acts.
const MEMBERS: usize = 6;
const CUSTOMERS: usize = 8;
const SELLERS: usize = 2;
/// Without faults a command is answered within this.
const ANSWERED: Duration = Duration::from_secs(90);
/// How often what was set aside is looked for.
const OPERATOR: Duration = Duration::from_secs(3);

/// What a run is given.
#[derive(Debug, Parser)]
struct Options {
    /// Where everything random comes from [default: a fresh one]
    #[arg(long)]
    seed: Option<u64>,
    /// How long things go wrong
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() -> ExitCode {
    // `cargo test` and nextest only want to know that it builds.
    if !std::env::args().any(|argument| argument == "--seconds") {
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            code = run(&options) => code,
            () = interrupted() => {
                eprintln!("chaos: interrupted");
                ExitCode::from(130)
            }
        }
    })
}

async fn interrupted() {
    let mut end = tokio::signal::unix::signal(SignalKind::terminate()).expect("a handler");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = end.recv() => {}
    }
}

async fn run(options: &Options) -> ExitCode {
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("chaos: seed {seed}, {} s", options.seconds);
    let system = System::open(&format!("chaos-{seed}")).await;
    println!("chaos: the logs are in {}", system.logs().display());
    let shop = Arc::new(Shop::new(seed, system));
    Actor::new(&shop, "opening").open_shop(MEMBERS).await;
    let counted = Arc::new(Counted::default());
    let mut beside = JoinSet::new();
    beside.spawn(keep(Arc::clone(&shop)));
    beside.spawn(ask(Arc::clone(&shop)));
    beside.spawn(watch(Arc::clone(&shop)));
    beside.spawn(report::progress(Arc::clone(&shop), Arc::clone(&counted)));

    let mut actors = JoinSet::new();
    for (role, name, many) in [
        (Role::Customer, "customer", CUSTOMERS),
        (Role::Seller, "seller", SELLERS),
        (Role::Admin, "admin", 1),
    ] {
        for number in 0..many {
            let shop = Arc::clone(&shop);
            let name = format!("{name} {number}");
            actors.spawn(async move { Actor::new(&shop, &name).act(role).await });
        }
    }
    let over = async {
        let ends = sleep(Duration::from_secs(options.seconds));
        shop.closing.run_until_cancelled(ends).await;
        shop.closing.cancel();
    };
    tokio::join!(over, faults::unleash(&shop, &counted), apply_again(&shop));
    shop.system.ready().await;
    println!("chaos: {} s without faults from here on", shop.history.now().as_secs());
    shop.expects_answers(ANSWERED * testkit::patience());
    while let Some(ended) = actors.join_next().await {
        ended.expect("an actor does not panic");
    }
    prove_alive(&shop).await;
    audit::audit(&shop).await;
    beside.shutdown().await;
    report::panics(&shop);
    let code = report::summary(&shop, &counted, options.seconds);
    shop.system.close().await;
    code
}

/// Keeps the processes running.
async fn keep(shop: Arc<Shop>) {
    shop.system.keep(&shop.history).await;
}

/// Asks the processes whether they are ready.
async fn ask(shop: Arc<Shop>) {
    shop.system.ask().await;
}

/// Looks at the processes' metrics.
async fn watch(shop: Arc<Shop>) {
    rare::watch(&shop).await;
}

/// An operator has applied what was set aside, until the shop closes.
async fn apply_again(shop: &Shop) {
    while shop.closing.run_until_cancelled(sleep(OPERATOR)).await.is_some() {
        if let Some(parked) = operator::parked(shop).await
            && !parked.is_empty()
        {
            shop.history.fault(format!("{} events are applied again", parked.len()));
            operator::replay(shop, &parked).await;
        }
    }
}

/// After all that the shop is as good as before: whoever orders is delivered to.
async fn prove_alive(shop: &Shop) {
    if shop.wrong.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        Actor::new(shop, "prober").prove_alive().await;
    }
}
