//! What the event log costs, and how fast events arrive; beside the goals.
//!
//! Variants take turns in short rounds, so that a machine that slows down slows
//! all of them; what counts is the median of the rounds' ratios. Real Postgres, flushes on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base::Error;
use eventlog::{Arrived, Consumer, Draft, Feed, Log, Policy};
use pg::{Database, Tx};
use settings::DatabaseSettings;
use testkit::TestDatabase;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{self, server::TcpIncoming};
use uuid::Uuid;

const ROUND: Duration = Duration::from_millis(700);
const ROUNDS: usize = 9;
const RATE: usize = 1_000;
const STREAMED: usize = 10 * RATE;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    testkit::flush_commits().await;
    println!("orders a second: alone, with an event, with an event and the sequencer running\n");
    println!("clients     alone    +event  +sequencer   event/alone    sequencer/event");
    for clients in [1, 16, 64] {
        throughput(clients).await;
    }
    println!("{:>66}", "goals at 64:   0.70               0.75\n");
    latency().await;
}

/// What a round does.
#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Alone,
    Event,
    Sequenced,
}

async fn throughput(clients: usize) {
    let shop = shop(clients + 4).await;
    let mut rates: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for variant in [Variant::Alone, Variant::Event, Variant::Sequenced] {
            rates[variant as usize].push(round(&shop, clients, variant).await);
            // What a round without the sequencer left must not burden the next one.
            let stop = CancellationToken::new();
            tokio::join!(Log::open(shop.clone()).run(stop.clone()), numbered(&shop, &stop));
        }
    }
    let ratio = |of: usize, to: usize| {
        median(rates[of].iter().zip(&rates[to]).map(|(of, to)| of / to).collect())
    };
    let (event, sequenced) = (ratio(1, 0), ratio(2, 1));
    let [alone, with_event, with_sequencer] = rates.map(median);
    println!(
        "{clients:>7} {alone:>9.0} {with_event:>9.0} {with_sequencer:>11.0} {event:>13.2} \
         {sequenced:>18.2}"
    );
}

/// Orders a second.
async fn round(shop: &Database, clients: usize, variant: Variant) -> f64 {
    let (begun, stop) = (Instant::now(), CancellationToken::new());
    if variant == Variant::Sequenced {
        tokio::spawn(Log::open(shop.clone()).run(stop.clone()));
    }
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let shop = shop.clone();
        running.spawn(async move {
            let mut orders = 0_u32;
            while begun.elapsed() < ROUND {
                let mut tx = shop.begin().await.expect("begins");
                place(&mut tx, Uuid::now_v7(), variant != Variant::Alone).await.expect("places");
                tx.commit().await.expect("commits");
                orders += 1;
            }
            orders
        });
    }
    let orders: u32 = running.join_all().await.into_iter().sum();
    let rate = f64::from(orders) / begun.elapsed().as_secs_f64();
    stop.cancel();
    rate
}

/// An order of two lines, as the order service stores it.
async fn place(tx: &mut Tx, id: Uuid, with_event: bool) -> Result<(), Error> {
    tx.execute(
        "insert into orders (id, member_id, method, total_minor, currency, product_ids,
           display_names, quantities, unit_prices_minor, state, told, version, event_version)
         values ($1, $2, 'WALLET', 10000, 'KRW', $3, $4, '{1, 2}', '{4000, 3000}', 'PLACED',
           'PLACED', 1, 1)",
        &[&id, &Uuid::now_v7(), &vec![id, id], &vec!["kimchi", "doenjang"]],
    )
    .await?;
    if with_event {
        let draft = Draft::new("OrderPlaced", id, 1, id, vec![0xfa, 0x01, 0x00]);
        let padded =
            Draft { payload: [draft.payload.clone(), unknown_field(200)].concat(), ..draft };
        eventlog::append(tx, &[padded]).await?;
    }
    Ok(())
}

/// A bytes field of this length that no message has.
fn unknown_field(length: usize) -> Vec<u8> {
    let mut field = Vec::new();
    prost::encoding::bytes::encode(100, &vec![7_u8; length], &mut field);
    field
}

/// A database with orders and a log.
async fn shop(pool_size: usize) -> Database {
    let TestDatabase { settings, .. } = testkit::database(&[(
        "V1__shop",
        "create table orders (id uuid primary key, member_id uuid not null, method text not null,
           total_minor bigint not null, currency text not null, product_ids uuid[] not null,
           display_names text[] not null, quantities int[] not null,
           unit_prices_minor bigint[] not null, state text not null, told text not null,
           version bigint not null, event_version bigint not null,
           create_time timestamptz not null default now());
         create index orders_by_member on orders (member_id, id desc);
         create index orders_by_state on orders (state, id desc)",
    )])
    .await;
    let settings = DatabaseSettings { pool_size, acquire_timeout_ms: 30_000, ..settings };
    Database::new(&settings, "test").expect("settings are right")
}

/// Waits until every event has a position, then stops the sequencer.
async fn numbered(shop: &Database, stop: &CancellationToken) {
    let sql = "select (select count(*) from event) = (select max(position) from numbering)";
    while !shop
        .read()
        .await
        .expect("reads")
        .query_one(sql, &[])
        .await
        .expect("reads")
        .get::<_, bool>(0)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Any message: what it says does not matter here.
#[derive(Clone, PartialEq, prost::Message)]
struct AnyEvent {}

impl schema::Events for AnyEvent {
    const SERVICE: &'static str = "order";
    const STREAM: &'static str = "bench.v1.OrderEvents";
}

/// Stores a row an event, and notes when its transaction has committed.
struct Ship(Arc<Mutex<Vec<Uuid>>>);

impl Policy<AnyEvent> for Ship {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<AnyEvent>]) -> Result<(), Error> {
        let ids: Vec<_> = batch.iter().map(|event| event.correlation_id).collect();
        tx.execute("insert into shipped (id) select unnest($1::uuid[])", &[&ids]).await?;
        self.0.lock().expect("not poisoned").extend(ids);
        // So that the commit is told.
        tx.mark_appended();
        Ok(())
    }
}

/// From an order's commit to the commit of what followed from it, elsewhere.
async fn latency() {
    let (shop, stop) = (shop(32).await, CancellationToken::new());
    let log = Log::open(shop.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let uri = format!("http://{}", listener.local_addr().expect("bound"));
    let feed = Feed::<AnyEvent>::new(log.clone(), stop.clone());
    let server = transport::Server::builder().add_service(feed);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    tokio::spawn(log.run(stop.clone()));

    let table = &[("V1__shipped", "create table shipped (id uuid primary key)")];
    let warehouse = testkit::database(table).await.database;
    let applied = Arc::new(Mutex::new(Vec::new()));
    let channel = rpc::Peer::new("order", &uri, None).expect("an address").channel();
    let policy = Ship(Arc::clone(&applied));
    let nobody: eventlog::Bearer = Arc::new(|| None);
    let consumer = Consumer::new("delivery", warehouse.clone(), channel, nobody, policy);
    tokio::spawn(consumer.run(stop.clone()));

    let placing = tokio::spawn(place_steadily(shop));
    let mut shipped: Vec<(Uuid, Instant)> = Vec::new();
    while shipped.len() < STREAMED {
        warehouse.committed().notified().await;
        let now = Instant::now();
        shipped.extend(applied.lock().expect("not poisoned").drain(..).map(|id| (id, now)));
    }
    stop.cancel();
    let placed = placing.await.expect("placed");
    // The first second warms up.
    let mut waited: Vec<_> = shipped[RATE..]
        .iter()
        .map(|(id, at)| at.saturating_duration_since(placed[id]).as_secs_f64() * 1_000.0)
        .collect();
    waited.sort_by(f64::total_cmp);
    let percentile = |p: usize| waited[waited.len() * p / 100];
    println!("commit to consumer's commit at {RATE} events/s: p50 {:.1} ms", percentile(50));
    println!("{:>43}: p99 {:.1} ms   goal: under 50", "", percentile(99));
}

/// Places orders at a steady rate, whatever the answers take; says when each was committed.
async fn place_steadily(shop: Database) -> HashMap<Uuid, Instant> {
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(RATE).expect("small"));
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut placing = JoinSet::new();
    for _ in 0..STREAMED {
        tick.tick().await;
        let shop = shop.clone();
        placing.spawn(async move {
            let id = Uuid::now_v7();
            let mut tx = shop.begin().await.expect("begins");
            place(&mut tx, id, true).await.expect("places");
            tx.commit().await.expect("commits");
            (id, Instant::now())
        });
    }
    placing.join_all().await.into_iter().collect()
}
