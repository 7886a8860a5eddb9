//! What an order reads: on top of 30,000 finished ones it costs no more rows than on an
//! empty shop, whatever Postgres knows about the tables. Counted by Postgres itself, per
//! table of every service.

#[path = "history/mod.rs"]
mod history;
#[path = "parts.rs"]
#[expect(dead_code, reason = "the stories do more with processes")]
mod parts;
#[path = "shop.rs"]
mod shop;
#[path = "whole.rs"]
#[expect(dead_code, reason = "benches do more with a whole shop")]
mod whole;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use app::rest::Rest;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_postgres::{Config, NoTls};

use self::{history::Databases, whole::Whole};

const PAST: usize = 30_000;
const ORDERS: usize = 200;
const MEMBERS: usize = 16;
/// How long a shop is looked at while nobody comes.
const IDLE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_mins(3);

/// Rows per order that a table may read, through whatever index or none, where it needs more than
/// [`OTHERS`]: (service, table, rows).
const BOUNDS: &[(&str, &str, f64)] = &[
    // Rows that were replaced and that nothing vacuums here are passed over again and again.
    ("delivery", "checkpoint", 100.0),
    ("member", "checkpoint", 100.0),
    ("mileage", "checkpoint", 100.0),
    ("mypage", "checkpoint", 400.0),
    ("notification", "checkpoint", 100.0),
    ("order", "checkpoint", 200.0),
    ("payment", "checkpoint", 100.0),
    ("product", "checkpoint", 100.0),
    // Written by each milestone, by payment and by delivery, and looked at by its member.
    ("mypage", "order_view", 40.0),
    // Four events per order, read by the log and by those who follow it.
    ("order", "event", 40.0),
];
/// Rows per order of any other table.
const OTHERS: f64 = 20.0;
/// Rows that a table may read while a shop starts and is then at rest for [`IDLE`]: each of those who follow
/// order finds its place in order's log, once more if it has to subscribe again. All of that log is 180,000.
const AT_REST: f64 = 40_000.0;

/// Rows and index entries read so far, by service and table.
type Reads = BTreeMap<(String, String), i64>;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_reads_no_more_rows_on_top_of_a_long_past() {
    let dir = tempfile::tempdir_in(testkit::scratch()).expect("a directory");
    let admin = superuser().await;
    // Nothing is known of the tables but what somebody asks for.
    configure(&admin, "alter system set autovacuum = off").await;
    let mut shop = Whole::open(&admin, dir.path(), "rows", Vec::new()).await;
    let models = shop.models(dir.path()).await;
    let members = shop::members(&shop.rest, "buyer", MEMBERS).await;
    let product = models.products[0].to_string();
    shop.settled().await;
    shop.kill();
    let began = Instant::now();
    history::write(&shop.databases, &models, PAST).await;
    eprintln!("{PAST} orders were written in {:?}", began.elapsed());
    shop.start().await;
    shop.settled().await;
    shop.kill();

    let mut too_many = Vec::new();
    for known in ["nothing is known of the tables", "all is known of the tables"] {
        let before = reads(&shop.databases).await;
        shop.start().await;
        tokio::time::sleep(IDLE).await;
        shop.kill();
        let rested = reads(&shop.databases).await;
        shop.start().await;
        order(&members, &product).await;
        shop.kill();
        let ordered = reads(&shop.databases).await;
        too_many.extend(compare(known, &before, &rested, &ordered));
        shop.databases.each("analyze").await;
    }
    assert!(too_many.is_empty(), "\n{}", too_many.join("\n"));
}

/// What is over its bound.
fn compare(known: &str, before: &Reads, rested: &Reads, ordered: &Reads) -> Vec<String> {
    let mut too_many = Vec::new();
    for (table, last) in ordered {
        let (service, name) = (&table.0, &table.1);
        let at_rest = count(rested.get(table)) - count(before.get(table));
        let each = (count(Some(last)) - count(rested.get(table)) - at_rest) / count(Some(&200));
        let own = BOUNDS.iter().find(|bound| (bound.0, bound.1) == (service, name));
        let bound = own.map_or(OTHERS, |bound| bound.2);
        if each > 0.5 || at_rest > 100.0 {
            eprintln!("{known}: {service}.{name}: {each:.1} per order, {at_rest} at rest");
        }
        if each > bound {
            too_many.push(format!("{known}: {each:.1} rows of {service}.{name} per order"));
        }
        if at_rest > AT_REST {
            too_many.push(format!("{known}: {at_rest} rows of {service}.{name} at rest"));
        }
    }
    too_many
}

#[expect(clippy::cast_precision_loss, reason = "2^52 rows are enough")]
fn count(rows: Option<&i64>) -> f64 {
    rows.copied().unwrap_or_default() as f64
}

/// What has been read so far of a shop that is down. What a session has read is counted when it has
/// ended.
async fn reads(databases: &Databases) -> Reads {
    let mut reads = Reads::new();
    for (service, client) in databases.connect_all().await {
        let others = "select count(*) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        let began = Instant::now();
        while client.query_one(others, &[]).await.expect("sessions").get::<_, i64>(0) > 0 {
            assert!(began.elapsed() < PATIENCE, "sessions of {service} do not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let sql = "select relname::text, coalesce(seq_tup_read, 0)
              + greatest(coalesce(idx_tup_fetch, 0), coalesce((
                select sum(i.idx_tup_read) from pg_stat_user_indexes i
                where i.relid = t.relid), 0))::bigint
            from pg_stat_user_tables t";
        for row in client.query(sql, &[]).await.expect("statistics") {
            reads.insert((service.to_owned(), row.get(0)), row.get(1));
        }
    }
    reads
}

/// All members order until there are enough orders, and see each of them delivered.
async fn order(members: &[(String, Rest)], product: &str) {
    let mut buyers = JoinSet::new();
    for (id, member) in members {
        let (id, member) = (id.clone(), member.clone());
        let lines = json!([{ "productId": product, "quantity": 1 }]);
        let body = json!({ "paymentMethod": "WALLET", "lines": lines });
        buyers.spawn(async move {
            let mut orders = Vec::new();
            for _ in 0..ORDERS.div_ceil(MEMBERS) {
                orders.push(whole::ordered(&member, &body).await);
            }
            // The last one first: the others are there by then.
            for order in orders.iter().rev() {
                delivered(&member, &format!("/v1/mypage/{id}/orders/{order}")).await;
            }
        });
    }
    buyers.join_all().await;
}

async fn delivered(member: &Rest, path: &str) {
    let began = Instant::now();
    while member.get(path).await.expect("an answer").text("state") != "DELIVERING" {
        assert!(began.elapsed() < PATIENCE, "{path} is not delivered");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Of the server that tests share.
async fn superuser() -> Config {
    let settings = testkit::databases(&[]).await;
    let url = settings.url.expose().replace("{service}", "");
    let mut admin: Config = url.parse().expect("a URL");
    admin.dbname("postgres");
    admin
}

async fn configure(admin: &Config, sql: &str) {
    let (client, connection) = admin.connect(NoTls).await.expect("Postgres");
    tokio::spawn(connection);
    for sql in [sql, "select pg_reload_conf()"] {
        client.batch_execute(sql).await.expect("a superuser may");
    }
}
