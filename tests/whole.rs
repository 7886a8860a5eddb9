//! A whole shop in one process, on databases of its own: for benches, and for tests of
//! what it costs. It can be down while its past is written.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use app::rest::Rest;
use serde_json::{Value, json};
use tokio_postgres::Config;

use crate::{
    history::{Databases, Models},
    parts::{Ground, Process, free_address},
    shop,
};

/// What was ordered is delivered, and all is at rest, within this.
const SETTLED: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(20);

/// A shop, up or down.
pub(crate) struct Whole {
    pub(crate) databases: Databases,
    pub(crate) rest: Rest,
    ground: Ground,
    grpc: SocketAddr,
    http: SocketAddr,
    told: Vec<(&'static str, String)>,
    process: Option<Process>,
    _ports: [File; 2],
}

impl Whole {
    /// Everything up on a server that `admin` may do everything on; `told` are its variables.
    pub(crate) async fn open(
        admin: &Config,
        dir: &Path,
        logs: &str,
        told: Vec<(&'static str, String)>,
    ) -> Self {
        let prefix = format!("{logs}_").replace('-', "_");
        let ground = Ground::lay(admin, &prefix, dir, logs).await;
        let ((grpc, one), (http, other)) = (free_address(), free_address());
        let mut whole = Self {
            databases: Databases::new(admin, &ground.database_url),
            rest: Rest::new(format!("http://{http}")),
            ground,
            grpc,
            http,
            told,
            process: None,
            _ports: [one, other],
        };
        whole.start().await;
        whole.ground.seed().await;
        whole
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(&mut self) {
        let mut command = self.ground.serve_all((self.grpc, self.http));
        command.envs(self.told.iter().map(|(variable, value)| (variable, value)));
        self.process.insert(self.ground.start("whole", command)).ready(self.grpc).await;
    }

    /// Ends it, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("it is up").program.pid()
    }

    /// Waits until nothing moves any more, and all that must hold does.
    pub(crate) async fn settled(&self) {
        let findings = app::verify::verify(&self.ground.database_url, SETTLED).await;
        let findings = findings.expect("the databases can be read");
        let broken: Vec<_> = findings.iter().filter(|finding| !finding.holds()).collect();
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// Somebody signs up, others order: one order that is closed and one that is cancelled.
    pub(crate) async fn models(&self, dir: &Path) -> Models {
        let products = shop::products(&self.rest, dir, 1).await;
        let members = shop::members(&self.rest, "model", 3).await;
        let mut orders = Vec::new();
        for ((id, member), end) in members[1..].iter().zip(["confirmReceipt", "cancel"]) {
            let lines = json!([{ "productId": products[0], "quantity": 1 }]);
            let body = json!({ "paymentMethod": "WALLET", "lines": lines });
            let order = ordered(member, &body).await;
            self.reached(member, &order, "DELIVERING").await;
            let path = format!("/v1/orders/{order}:{end}");
            let answer = member.post(&path, json!({})).await.expect("an answer");
            assert!(answer.status.is_success(), "{answer}");
            orders.push((order.parse().expect("a UUID"), id.parse().expect("a UUID")));
        }
        self.settled().await;
        Models {
            member: members[0].0.parse().expect("a UUID"),
            orders,
            products: products.iter().map(|id| id.parse().expect("a UUID")).collect(),
        }
    }

    async fn reached(&self, member: &Rest, order: &str, state: &str) {
        let began = Instant::now();
        let path = format!("/v1/orders/{order}");
        while member.get(&path).await.expect("an answer").text("state") != state {
            assert!(began.elapsed() < SETTLED, "{order} is not {state}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Orders; waits until order has been reached and has heard of the product.
pub(crate) async fn ordered(member: &Rest, order: &Value) -> String {
    let began = Instant::now();
    loop {
        let answer = member.post("/v1/orders", order.clone()).await.expect("an answer");
        if answer.status == 201 {
            return answer.text("id");
        }
        assert!(began.elapsed() < SETTLED, "{answer}");
        tokio::time::sleep(POLL).await;
    }
}
