//! What an order costs as a shop grows old: fresh, on top of a long past, where Postgres
//! knows nothing of its tables, and while somebody holds a snapshot open; beside the same
//! rows in one transaction (pgbench, on the same Postgres).
//!
//! ORDERS is the length of the past (300,000), SECONDS that of a measurement (30), HELD
//! the orders that pass while a snapshot is held (20,000), RATE the orders per second at
//! which CPU is measured (50). STATEMENTS prints the most expensive ones of each.

mod cost;
#[path = "../../tests/history/mod.rs"]
mod history;
mod load;
#[path = "../../tests/parts.rs"]
#[expect(dead_code, reason = "the stories do more with processes")]
mod parts;
#[path = "../reference.rs"]
mod reference;
#[path = "../../tests/shop.rs"]
mod shop;
mod table;
#[path = "../../tests/whole.rs"]
mod whole;

use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use embedded_postgres::Embedded;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use self::{
    cost::{Meter, Spent},
    history::Models,
    load::{Load, Until},
    reference::{MEMBERS, PRODUCTS, Reference, connect},
    table::{Line, Table},
    whole::Whole,
};

/// After so long without anybody it is at rest.
const QUIET: Duration = Duration::from_secs(15);

/// As if nobody had ever counted the tables' rows.
const FORGET: &str = "set allow_system_table_mods = on; delete from pg_statistic;
    update pg_class set reltuples = -1, relallvisible = 0
    where relkind in ('r', 'i') and relnamespace = 'public'::regnamespace";

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("hansang-history-").tempdir().expect("a directory");
    // Postgres's own user has to pass through.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
    let postgres = postgres(dir.path()).await;
    let admin = postgres.admin_config();
    let mut bench = Bench::open(&admin, dir.path()).await;
    bench.fresh(&admin).await;
    bench.old().await;
    bench.shop.settled().await;
    print!("{}", bench.table);
    bench.shop.kill();
    postgres.stop().await;
}

/// A Postgres that counts statements.
async fn postgres(dir: &Path) -> Embedded {
    let postgres = Embedded::start(dir).await.expect("Postgres");
    let client = connect(&postgres.admin_config(), "postgres").await;
    let load = "alter system set shared_preload_libraries = 'pg_stat_statements'";
    client.batch_execute(load).await.expect("a superuser may");
    drop(client);
    postgres.stop().await;
    Embedded::start(dir).await.expect("Postgres")
}

struct Bench {
    shop: Whole,
    models: Models,
    load: Load,
    meter: Meter,
    /// For what holds for the whole server.
    server: Client,
    table: Table,
    lasting: Duration,
    rate: u32,
}

impl Bench {
    async fn open(admin: &tokio_postgres::Config, dir: &Path) -> Self {
        let shop = Whole::open(admin, dir, "history-bench", Vec::new()).await;
        let models = shop.models(dir).await;
        let load = Load {
            members: shop::members(&shop.rest, "member", MEMBERS).await,
            products: shop::products(&shop.rest, dir, PRODUCTS).await,
            orders: shop.databases.connect("order").await,
            pages: shop.databases.connect("mypage").await,
        };
        shop.settled().await;
        Self {
            shop,
            models,
            load,
            meter: Meter::new(admin).await,
            server: connect(admin, "postgres").await,
            table: Table::default(),
            lasting: Duration::from_secs(number("SECONDS", 30).into()),
            rate: number("RATE", 50),
        }
    }

    async fn fresh(&mut self, admin: &tokio_postgres::Config) {
        self.rest("at rest, fresh").await;
        self.measure("fresh").await;
        // Nothing runs beside the reference, and nothing is under way when the past is written.
        self.shop.settled().await;
        self.shop.kill();
        let reference = Reference::create(admin).await;
        let rate = f64::from(self.rate);
        let before = self.meter.read(&[]).await;
        let tps = reference.run(self.lasting, Some(self.rate));
        let spent = self.meter.read(&[]).await - before;
        let orders = tps.min(rate) * self.lasting.as_secs_f64();
        let peak = reference.run(self.lasting, None);
        self.table.reference(Line::of_reference(orders, spent, peak));
    }

    async fn old(&mut self) {
        let orders = number("ORDERS", 300_000);
        let before = self.meter.read(&[]).await;
        let begun = Instant::now();
        history::write(&self.shop.databases, &self.models, orders as usize).await;
        let spent = self.meter.read(&[]).await - before;
        self.table.written(orders, begun.elapsed(), spent.bytes);
        self.shop.databases.each("vacuum analyze").await;
        self.shop.start().await;
        let begun = Instant::now();
        self.shop.settled().await;
        self.table.verified(orders, begun.elapsed());
        self.rest(&format!("at rest, {orders} orders")).await;
        self.measure(&format!("{orders} orders")).await;
        self.without_statistics(orders).await;
        self.with_a_snapshot(orders).await;
    }

    async fn without_statistics(&mut self, orders: u32) {
        self.shop.kill();
        self.server("alter system set autovacuum = off").await;
        self.shop.databases.each(FORGET).await;
        self.shop.start().await;
        self.measure(&format!("{orders} orders, no statistics")).await;
        self.server("alter system reset autovacuum").await;
        self.shop.databases.each("vacuum analyze").await;
    }

    async fn with_a_snapshot(&mut self, orders: u32) {
        let holders = self.shop.databases.connect_all().await;
        for holder in holders.values() {
            let held = "begin isolation level repeatable read; select 1";
            holder.batch_execute(held).await.expect("a snapshot");
        }
        let held = number("HELD", 20_000);
        self.load.run(None, Until::Placed(held)).await;
        self.measure(&format!("{orders} orders, a snapshot held over {held}")).await;
    }

    async fn server(&self, sql: &str) {
        for sql in [sql, "select pg_reload_conf()"] {
            self.server.batch_execute(sql).await.expect("a superuser may");
        }
    }

    /// What the shop costs while nobody comes.
    async fn rest(&mut self, what: &str) {
        // Looks become rarer until nothing has happened for a while.
        sleep(QUIET).await;
        let begun = Instant::now();
        self.meter.forget_statements().await;
        let before = self.spent().await;
        sleep(self.lasting).await;
        let spent = self.spent().await - before;
        self.table.at_rest(what, spent, begun.elapsed());
        self.statements(what).await;
    }

    /// What an order costs at the rate, and how many there are at most.
    async fn measure(&mut self, what: &str) {
        self.load.run(Some(self.rate), Until::Elapsed(Duration::from_secs(3))).await;
        self.meter.forget_statements().await;
        let before = self.spent().await;
        let report = self.load.run(Some(self.rate), Until::Elapsed(self.lasting)).await;
        let spent = self.spent().await - before;
        self.statements(what).await;
        let peak = self.load.run(None, Until::Elapsed(self.lasting)).await;
        self.table.add(Line::of(what, &report, spent, &peak));
    }

    async fn spent(&self) -> Spent {
        self.meter.read(&[self.shop.pid()]).await
    }

    async fn statements(&self, what: &str) {
        if let Ok(most) = env::var("STATEMENTS") {
            println!("\n{what}");
            for statement in self.meter.statements(most.parse().unwrap_or(20)).await {
                println!("  {statement}");
            }
        }
    }
}

/// What the environment says, or else this.
fn number(variable: &str, otherwise: u32) -> u32 {
    let told = env::var(variable).ok();
    told.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}: a number")))
}
