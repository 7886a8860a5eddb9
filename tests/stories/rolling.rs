//! A rolling restart under load: every process is replaced, one after the other, and no
//! request is lost. Twice here; `HANSANG_ROUNDS=10` has it ten times.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use app::{rest::Rest, run::SERVICES};
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{deployment::Deployment, people::won};

const PRICE: i64 = 1_000;
const READERS: usize = 3;
const BUYERS: usize = 2;

/// What is asked for meanwhile, and how it goes.
struct Load {
    /// The gateway that clients are sent to.
    gateway: Mutex<String>,
    over: AtomicBool,
    answered: AtomicU32,
    /// Each answer that was not 2xx, and each request without one.
    lost: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

/// One request, and the status that is right.
#[derive(Clone)]
struct Ask {
    method: Method,
    path: String,
    body: Option<Value>,
    status: u16,
}

impl Load {
    /// Asks again and again, each time whoever is the gateway then.
    async fn go_on(&self, rest: &Rest, ask: Ask) {
        while !self.over.load(Ordering::Relaxed) {
            let rest = rest.at(self.gateway.lock().expect("nobody panics").clone());
            let begun = Instant::now();
            match rest.send(ask.method.clone(), &ask.path, ask.body.clone(), &[]).await {
                Ok(answer) if answer.status == ask.status => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => self.lose(answer.to_string()),
                Err(error) => self.lose(format!("{error:#}")),
            }
            let mut slowest = self.slowest.lock().expect("nobody panics");
            *slowest = begun.elapsed().max(*slowest);
        }
    }

    fn lose(&self, how: String) {
        self.lost.lock().expect("nobody panics").push(how);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_every_process_under_load_loses_no_request() {
    let rounds = std::env::var("HANSANG_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    let mut deployment = Deployment::open("rolling").await;
    deployment.make_room().await;
    let product = deployment.product(PRICE, 1_000_000).await;
    let load = Arc::new(Load {
        gateway: Mutex::new(deployment.address()),
        over: AtomicBool::new(false),
        answered: AtomicU32::new(0),
        lost: Mutex::default(),
        slowest: Mutex::default(),
    });
    let path = format!("/v1/products/{}", product.id);
    let read = Ask { method: Method::GET, path, body: None, status: 200 };
    let order = json!({
        "paymentMethod": "WALLET",
        "lines": [{ "productId": product.id, "quantity": 1 }],
        "expectedTotal": won(PRICE),
    });
    let path = "/v1/orders".to_owned();
    let buy = Ask { method: Method::POST, path, body: Some(order), status: 201 };
    let mut clients = JoinSet::new();
    for client in 0..READERS + BUYERS {
        let member = deployment.member(100_000 * PRICE).await;
        let load = Arc::clone(&load);
        let ask = if client < READERS { read.clone() } else { buy.clone() };
        clients.spawn(async move { load.go_on(&member.rest, ask).await });
    }
    let begun = Instant::now();
    let parts: Vec<_> = SERVICES.iter().map(|service| service.name).chain(["gateway"]).collect();
    for _ in 0..rounds {
        for part in &parts {
            let switch = |to| {
                if *part == "gateway" {
                    *load.gateway.lock().expect("nobody panics") = to;
                }
            };
            deployment.replace(part, switch).await;
        }
    }
    load.over.store(true, Ordering::Relaxed);
    clients.join_all().await;
    let lost = load.lost.lock().expect("nobody panics").clone();
    println!(
        "{} processes replaced in {:.1?}: {} requests answered, {} lost, the slowest in {:.0?}",
        rounds * parts.len(),
        begun.elapsed(),
        load.answered.load(Ordering::Relaxed),
        lost.len(),
        load.slowest.lock().expect("nobody panics")
    );
    assert_eq!(lost, [""; 0]);
    assert!(load.answered.load(Ordering::Relaxed) > 100, "there was load");
    deployment.all_holds().await;
}
