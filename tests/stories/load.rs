//! Load for as long as something else goes on: members who look and members who buy, each
//! request right after the answer to the one before. Counts what was answered, keeps what was not.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use app::rest::Rest;
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{deployment::Deployment, people::won};

const PRICE: i64 = 1_000;
const READERS: usize = 3;
const BUYERS: usize = 2;

/// Requests that go on until [`end`](Self::end).
pub(crate) struct Load {
    asked: Arc<Asked>,
    clients: JoinSet<()>,
}

/// What is asked for meanwhile, and how it goes.
struct Asked {
    /// The gateway that clients are sent to.
    gateway: Mutex<String>,
    over: AtomicBool,
    answered: AtomicU32,
    /// Each answer that was not 2xx, and each request without one.
    lost: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
}

/// How it went.
pub(crate) struct Answered {
    pub(crate) count: u32,
    pub(crate) lost: Vec<String>,
    pub(crate) slowest: Duration,
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
    /// Begins it.
    pub(crate) async fn begin(deployment: &Deployment) -> Self {
        let product = deployment.product(PRICE, 1_000_000).await;
        let asked = Arc::new(Asked {
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
            let asked = Arc::clone(&asked);
            let ask = if client < READERS { read.clone() } else { buy.clone() };
            clients.spawn(async move { asked.go_on(&member.rest, ask).await });
        }
        Self { asked, clients }
    }

    /// Replaces a process of the deployment meanwhile; clients of the gateway go to the next one.
    pub(crate) async fn replace(&self, deployment: &mut Deployment, part: &str) {
        let switch = |to| {
            if part == "gateway" {
                *self.asked.gateway.lock().expect("nobody panics") = to;
            }
        };
        deployment.replace(part, switch).await;
    }

    /// Ends it, once what is under way is answered.
    pub(crate) async fn end(self) -> Answered {
        self.asked.over.store(true, Ordering::Relaxed);
        self.clients.join_all().await;
        Answered {
            count: self.asked.answered.load(Ordering::Relaxed),
            lost: self.asked.lost.lock().expect("nobody panics").clone(),
            slowest: *self.asked.slowest.lock().expect("nobody panics"),
        }
    }
}

impl Asked {
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
