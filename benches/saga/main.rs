//! What an order costs when services that share nothing carry it from the wallet to
//! the delivery, beside the same rows written by one transaction in one database
//! (pgbench, on the same Postgres). Rounds alternate, medians count.
//!
//! Orders come over REST from 64 members at once; a round ends when the last order is
//! being delivered on My Page. Counts whole sagas, not answers.

#[path = "../reference.rs"]
mod reference;
#[path = "../../tests/shop.rs"]
mod shop;
#[path = "../up.rs"]
mod up;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use app::rest::Rest;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use self::reference::{MEMBERS, PRODUCTS, Reference, connect};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("hansang-saga-").tempdir().expect("a directory");
    // Postgres's own user has to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    let (up, anyone, _) = up::start(dir.path()).await;
    let postgres = embedded_postgres::running(dir.path()).expect("it runs");
    let products = shop::products(&anyone, dir.path(), PRODUCTS).await;
    let members = shop::members(&anyone, "member", MEMBERS).await;
    let pages = connect(&postgres, "hansang_mypage").await;
    let reference = Reference::create(&postgres).await;

    let (mut sagas, mut transactions) = (Vec::new(), Vec::new());
    // The first of each only warms up.
    for round in 0..=ROUNDS {
        let saga = sagas_a_second(&members, &products, &pages).await;
        let transaction = reference.run(ROUND, None);
        if round > 0 {
            sagas.push(saga);
            transactions.push(transaction);
        }
    }
    let (sagas, transactions) = (median(sagas), median(transactions));
    println!("\n{MEMBERS} members order from their wallets\n");
    println!("orders until they are delivered   {sagas:>8.0} a second");
    println!("the same rows in one transaction  {transactions:>8.0} a second");
    println!("ratio                             {:>8.2}   goal: 0.35", sagas / transactions);
    up.program.stop();
}

/// One round: orders by all members at once, until the last of them is being delivered.
async fn sagas_a_second(members: &[(String, Rest)], products: &[String], pages: &Client) -> f64 {
    let before = delivering(pages).await;
    let begun = Instant::now();
    let mut buyers = JoinSet::new();
    for (number, (_, member)) in members.iter().enumerate() {
        let (member, products) = (member.clone(), products.to_vec());
        buyers.spawn(async move {
            let mut placed = 0;
            while begun.elapsed() < ROUND {
                let product = &products[(number + placed) % products.len()];
                let lines = json!([{ "productId": product, "quantity": 1 }]);
                let body = json!({ "paymentMethod": "WALLET", "lines": lines });
                // Refused while order has not heard of the product, and while others fill the gateway.
                let answer = member.post("/v1/orders", body).await.expect("an answer");
                placed += usize::from(answer.status == 201);
                if let Some(wait) = answer.retry_after() {
                    tokio::time::sleep(wait).await;
                }
            }
            placed
        });
    }
    let placed: usize = buyers.join_all().await.into_iter().sum();
    let placed = u32::try_from(placed).expect("a round is short");
    while delivering(pages).await < before + i64::from(placed) {
        assert!(begun.elapsed() < Duration::from_mins(3), "sagas do not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    f64::from(placed) / begun.elapsed().as_secs_f64()
}

async fn delivering(pages: &Client) -> i64 {
    let sql = "select count(*) from order_view where state = 'DELIVERING'";
    pages.query_one(sql, &[]).await.expect("My Page's tables").get(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
