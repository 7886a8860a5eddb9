//! What an order costs when services that share nothing carry it from the wallet to
//! the delivery, beside the same rows written by one transaction in one database
//! (pgbench, on the same Postgres). Rounds alternate, medians count.
//!
//! Orders come over REST from 64 members at once; a round ends when the last order is
//! being delivered on My Page. Counts whole sagas, not answers.

#[path = "../shop.rs"]
mod shop;
#[path = "../up.rs"]
mod up;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use app::{embedded, rest::Rest};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);
/// As in `one_transaction.sql`.
const MEMBERS: usize = 64;
const PRODUCTS: usize = 200;
/// The contexts whose tables a saga writes to.
const TABLES: [&str; 7] =
    ["order", "payment", "product", "delivery", "mileage", "mypage", "notification"];

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
    let postgres = embedded::running(dir.path()).expect("it runs");
    let products = shop::products(&anyone, dir.path(), PRODUCTS).await;
    let members = shop::members(&anyone, MEMBERS).await;
    let pages = connect(&postgres, "hansang_mypage").await;
    let reference = Reference::create(&postgres, dir.path()).await;

    let (mut sagas, mut transactions) = (Vec::new(), Vec::new());
    // The first of each only warms up.
    for round in 0..=ROUNDS {
        let saga = sagas_a_second(&members, &products, &pages).await;
        let transaction = reference.run();
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
    up::stop(up);
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
                // Refused while order has not heard of the product.
                let answer = member.post("/v1/orders", body).await.expect("an answer");
                placed += usize::from(answer.status == 201);
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

/// The same tables in one database, and pgbench.
struct Reference {
    pgbench: PathBuf,
    socket: PathBuf,
}

impl Reference {
    const DATABASE: &str = "one_transaction";

    async fn create(postgres: &Config, dir: &Path) -> Self {
        let admin = connect(postgres, "postgres").await;
        let create = format!("create database {}", Self::DATABASE);
        admin.batch_execute(&create).await.expect("a database");
        let database = connect(postgres, Self::DATABASE).await;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let services = TABLES.map(|service| root.join("services").join(service));
        for part in [root.join("kit")].iter().chain(&services) {
            for migration in migrations(&part.join("migrations")) {
                let sql = fs::read_to_string(&migration).expect("a migration");
                let done = database.batch_execute(&sql).await;
                done.unwrap_or_else(|error| panic!("{}: {error:?}", migration.display()));
            }
        }
        let rows = format!(
            "insert into wallet (member_id, balance_minor, currency)
               select lpad(n::text, 32, '0')::uuid, 1000000000000, 'KRW' from generate_series(1, {MEMBERS}) n;
             insert into member_view (member_id)
               select lpad(n::text, 32, '0')::uuid from generate_series(1, {MEMBERS}) n;
             insert into product (id, display_name, price_minor, currency, stock, version)
               select lpad(n::text, 32, '0')::uuid, 'Bibimbap', 1000, 'KRW', 100000000, 1
               from generate_series(1, {PRODUCTS}) n;"
        );
        database.batch_execute(&rows).await.expect("rows");
        let file = dir.join("postgres/data/postmaster.pid");
        let postmaster = fs::read_to_string(file).expect("a postmaster");
        // The process first, the socket's directory fifth.
        let line = |number| postmaster.lines().nth(number).expect("a line");
        let server = fs::read_link(format!("/proc/{}/exe", line(0))).expect("Linux");
        Self { pgbench: server.with_file_name("pgbench"), socket: line(4).into() }
    }

    /// Transactions a second.
    fn run(&self) -> f64 {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/saga/one_transaction.sql");
        let done = Command::new(&self.pgbench)
            .args(["--no-vacuum", "--protocol", "prepared", "--username", "postgres", "--host"])
            .arg(&self.socket)
            .args(["--client", &MEMBERS.to_string(), "--jobs", "2", "--file", script])
            .args(["--time", &ROUND.as_secs().to_string(), Self::DATABASE])
            .output()
            .expect("pgbench is there");
        let text = String::from_utf8_lossy(&done.stdout);
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps.and_then(|line| line.split(' ').next()).and_then(|tps| tps.parse().ok());
        let failed = || panic!("{text}{}", String::from_utf8_lossy(&done.stderr));
        tps.filter(|_| done.status.success()).unwrap_or_else(failed)
    }
}

/// The files of a folder, V1 first.
fn migrations(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).expect("migrations");
    let mut files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    let number = |file: &PathBuf| -> u32 {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let digits = name.trim_start_matches('V').split('_').next().expect("V1__name");
        digits.parse().expect("a number")
    };
    files.sort_by_key(number);
    files
}

async fn connect(postgres: &Config, database: &str) -> Client {
    let (client, connection) =
        postgres.clone().dbname(database).connect(NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
