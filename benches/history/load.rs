//! Members who order from their wallets, at a rate or as fast as they are answered,
//! until the last order is being delivered on My Page.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use app::rest::Rest;
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_postgres::Client;

const PATIENCE: Duration = Duration::from_mins(10);
/// A wallet order tells of so many milestones until it is being delivered.
const MILESTONES: i64 = 4;

/// Those who order, and what.
pub(crate) struct Load {
    pub(crate) members: Vec<(String, Rest)>,
    pub(crate) products: Vec<String>,
    /// The database of order.
    pub(crate) orders: Client,
    /// The database of My Page.
    pub(crate) pages: Client,
}

/// When to stop ordering.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    Placed(u32),
}

/// How it went.
pub(crate) struct Report {
    pub(crate) placed: u32,
    /// Those that were not taken.
    pub(crate) refused: u32,
    /// Of the answers, microseconds from when an order was due.
    pub(crate) latency: Histogram<u64>,
    /// From the first order until the last one is being delivered.
    pub(crate) took: Duration,
    /// From the last answer until then.
    pub(crate) behind: Duration,
}

impl Load {
    /// Orders at `rate` per second, or as fast as they are answered.
    pub(crate) async fn run(&self, rate: Option<u32>, until: Until) -> Report {
        let head = self.head().await;
        let begun = Instant::now();
        let turn = Arc::new(AtomicU32::new(0));
        let mut buyers = JoinSet::new();
        for (_, member) in &self.members {
            let (member, products) = (member.clone(), self.products.clone());
            let turn = Arc::clone(&turn);
            buyers.spawn(async move { buy(&member, &products, &turn, rate, until, begun).await });
        }
        let mut latency = Histogram::new(3).expect("a histogram");
        let (mut placed, mut refused) = (0, 0);
        for (answered, no) in buyers.join_all().await {
            placed += u32::try_from(answered.len()).expect("a round is short");
            refused += no;
            latency.add(answered).expect("the same precision");
        }
        let answered = Instant::now();
        self.delivered(head + i64::from(placed) * MILESTONES).await;
        let (took, behind) = (begun.elapsed(), answered.elapsed());
        Report { placed, refused, latency, took, behind }
    }

    async fn head(&self) -> i64 {
        let sql = "select coalesce(max(position), 0) from event_position";
        self.orders.query_one(sql, &[]).await.expect("a log").get(0)
    }

    /// Waits until order has told of everything, and My Page has heard it.
    async fn delivered(&self, head: i64) {
        let begun = Instant::now();
        let sql = "select max(position) from checkpoint
            where consumer = 'mypage' and source = 'order'";
        while self.head().await < head
            || self.pages.query_one(sql, &[]).await.expect("checkpoints").get::<_, i64>(0) < head
        {
            assert!(begun.elapsed() < PATIENCE, "orders are not delivered");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Answered orders' times, and how many were refused.
async fn buy(
    member: &Rest,
    products: &[String],
    turn: &AtomicU32,
    rate: Option<u32>,
    until: Until,
    begun: Instant,
) -> (Histogram<u64>, u32) {
    let mut answered = Histogram::new(3).expect("a histogram");
    let mut refused = 0;
    loop {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        let due = match rate {
            Some(rate) => begun + Duration::from_secs(1) * number / rate,
            None => Instant::now(),
        };
        let over = match until {
            Until::Elapsed(time) => due >= begun + time,
            Until::Placed(most) => number >= most,
        };
        if over {
            return (answered, refused);
        }
        sleep_until(due).await;
        let product = &products[number as usize % products.len()];
        let lines = json!([{ "productId": product, "quantity": 1 }]);
        let body = json!({ "paymentMethod": "WALLET", "lines": lines });
        let answer = member.post("/v1/orders", body).await;
        if answer.as_ref().is_ok_and(|answer| answer.status == 201) {
            let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
            answered.record(took.max(1)).expect("a histogram that grows");
            continue;
        }
        refused += 1;
        if let Some(wait) = answer.ok().and_then(|answer| answer.retry_after()) {
            sleep(wait).await;
        }
    }
}
