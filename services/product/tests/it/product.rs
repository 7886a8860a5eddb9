//! Product through gRPC on real Postgres; the test plays the order context.

mod search;

use base::id::Uuid;
use contracts::{
    Money,
    order::v1::{OrderCancelled, OrderEvent, OrderLine, OrderPaid, order_event::Event},
    product::v1::{
        GetProductRequest, ListProductsRequest, Product, RegisterProductRequest,
        RestockProductRequest, product_service_client::ProductServiceClient,
    },
};
use eventlog::Draft;
use prost::Message as _;
use server::{Service, ServiceBuilder};
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::Code;

static ORDER: Service = Service {
    name: "order",
    migrations: pg::migrations![],
    build: |builder: &mut ServiceBuilder<'_>| {
        builder.publish::<OrderEvent>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    products: ProductServiceClient<tonic::transport::Channel>,
    seller: As,
}

impl Shop {
    async fn open() -> Self {
        let stage = Stage::open(&[&product::SERVICE, &ORDER], &contracts::API).await;
        let products = ProductServiceClient::new(stage.channel());
        Self { stage, products, seller: As::Seller(base::id::new()) }
    }

    fn registration(stock: i32) -> RegisterProductRequest {
        let price = Some(Money::from(("KRW", 1_000)));
        RegisterProductRequest {
            display_name: "bibimbap".into(),
            price,
            stock,
            ..RegisterProductRequest::default()
        }
    }

    async fn register(&mut self, stock: i32) -> Product {
        let request = self.stage.call(self.seller, Self::registration(stock));
        self.products.register_product(request).await.expect("registers").into_inner()
    }

    async fn stock(&self, id: &str) -> i32 {
        let request = self.stage.call(As::Nobody, GetProductRequest { product_id: id.into() });
        let answer = self.products.clone().get_product(request).await;
        answer.expect("is there").into_inner().stock
    }

    /// What was stored by a version before this one.
    async fn run_by_hand(&self, sql: &'static str) {
        let database = self.stage.database("product");
        database.read().await.expect("a connection").execute(sql, &[]).await.expect(sql);
    }

    async fn eventually_stock(&self, id: &str, stock: i32) {
        let ask = || async { (self.stock(id).await == stock).then_some(()) };
        eventually(&format!("a stock of {stock}"), ask).await;
    }

    /// Publishes events of an order, each twice: late and double messages are normal.
    async fn publish(&self, order: Uuid, events: Vec<Event>) {
        let database = self.stage.database("order");
        let mut tx = database.begin().await.expect("begins");
        let mut drafts = Vec::new();
        for (event, version) in events.into_iter().flat_map(|e| [e.clone(), e]).zip(1..) {
            let kind = match event {
                Event::OrderPaid(_) => "OrderPaid",
                Event::OrderCancelled(_) => "OrderCancelled",
                _ => panic!("not one that product listens to"),
            };
            let payload = OrderEvent { frame: None, event: Some(event) }.encode_to_vec();
            drafts.push(Draft::new(kind, order, version, order, payload));
        }
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }
}

fn paid(order: Uuid, product: &str, quantity: i32) -> Event {
    let line = OrderLine { product_id: product.into(), quantity, ..OrderLine::default() };
    Event::OrderPaid(OrderPaid {
        order_id: order.to_string(),
        member_id: Uuid::nil().to_string(),
        lines: vec![line],
        payment_id: String::new(),
    })
}

fn cancelled(order: Uuid) -> Event {
    Event::OrderCancelled(OrderCancelled {
        order_id: order.to_string(),
        member_id: Uuid::nil().to_string(),
        ..OrderCancelled::default()
    })
}

#[tokio::test]
async fn only_a_seller_registers_products() {
    let mut shop = Shop::open().await;
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(base::id::new()), Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied),
    ] {
        let request = shop.stage.call(caller, Shop::registration(1));
        let refused = shop.products.register_product(request).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    shop.register(1).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn the_same_key_registers_one_product() {
    let mut shop = Shop::open().await;
    let mut ids = Vec::new();
    for stock in [7, 7, 8] {
        let mut request = shop.stage.call(shop.seller, Shop::registration(stock));
        request.metadata_mut().insert("idempotency-key", "k".parse().expect("ascii"));
        ids.push(shop.products.register_product(request).await);
    }
    let [Ok(first), Ok(again), Err(other)] = ids.as_slice() else { panic!("{ids:?}") };
    assert_eq!(first.get_ref(), again.get_ref());
    assert!(first.metadata().get("idempotency-replayed").is_none());
    assert_eq!(again.metadata().get("idempotency-replayed").expect("said"), "true");
    assert_eq!(other.code(), Code::InvalidArgument);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_stale_etag_changes_nothing() {
    let mut shop = Shop::open().await;
    let product = shop.register(5).await;
    let restock = RestockProductRequest { product_id: product.id.clone(), quantity: 1 };
    for (etag, right) in [(product.etag.clone(), true), (product.etag.clone(), false)] {
        let mut request = shop.stage.call(shop.seller, restock.clone());
        request.metadata_mut().insert("if-match", etag.parse().expect("ascii"));
        assert_eq!(shop.products.restock_product(request).await.is_ok(), right);
    }
    assert_eq!(shop.stock(&product.id).await, 6);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_paid_order_takes_its_lines_and_a_cancelled_one_gives_them_back_once() {
    let mut shop = Shop::open().await;
    let product = shop.register(10).await;
    let order = base::id::new();
    shop.publish(order, vec![paid(order, &product.id, 4)]).await;
    shop.eventually_stock(&product.id, 6).await;

    let other = base::id::new();
    shop.publish(other, vec![paid(other, &product.id, 4), cancelled(other)]).await;
    let last = base::id::new();
    shop.publish(last, vec![paid(last, &product.id, 1)]).await;
    shop.eventually_stock(&product.id, 5).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_was_cancelled_first_or_wants_too_much_takes_nothing() {
    let mut shop = Shop::open().await;
    let product = shop.register(10).await;
    let early = base::id::new();
    shop.publish(early, vec![cancelled(early), paid(early, &product.id, 4)]).await;
    let greedy = base::id::new();
    shop.publish(greedy, vec![paid(greedy, &product.id, 11)]).await;
    // Seen after those two: all three are of one log.
    let last = base::id::new();
    shop.publish(last, vec![paid(last, &product.id, 1)]).await;
    shop.eventually_stock(&product.id, 9).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn orders_that_are_decided_together_keep_their_own_lines() {
    let mut shop = Shop::open().await;
    let mut products = Vec::new();
    for _ in 0..3 {
        products.push(shop.register(10).await.id);
    }
    let orders = [base::id::new(), base::id::new(), base::id::new()];
    let mut tx = shop.stage.database("order").begin().await.expect("begins");
    let mut drafts = Vec::new();
    for (most, order) in (0..).zip(orders) {
        let Event::OrderPaid(mut event) = paid(order, &products[0], 1) else { panic!("is paid") };
        for product in &products[1..=most] {
            let line =
                OrderLine { product_id: product.clone(), quantity: 2, ..OrderLine::default() };
            event.lines.push(line);
        }
        let payload = OrderEvent { frame: None, event: Some(Event::OrderPaid(event)) };
        drafts.push(Draft::new("OrderPaid", order, 1, order, payload.encode_to_vec()));
    }
    eventlog::append(&mut tx, &drafts).await.expect("appends");
    tx.commit().await.expect("commits");
    for (product, stock) in products.iter().zip([7, 6, 8]) {
        shop.eventually_stock(product, stock).await;
    }
    let database = shop.stage.database("product");
    let sql = "select product_ids, quantities from allocation order by cardinality(product_ids)";
    let rows = database.read().await.expect("a connection").query(sql, &[]).await.expect("rows");
    for (most, row) in (1..).zip(&rows) {
        let ids: Vec<String> = row.get::<_, Vec<Uuid>>(0).iter().map(Uuid::to_string).collect();
        assert_eq!(ids, products[..most]);
        assert_eq!(row.get::<_, Vec<i32>>(1), [1, 2, 2][..most]);
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn of_64_buyers_of_the_last_unit_exactly_one_gets_it() {
    const ROUNDS: i64 = 30;
    let mut shop = Shop::open().await;
    for _ in 0..ROUNDS {
        let product = shop.register(1).await;
        let publish = (0..64).map(|_| base::id::new()).map(|order| {
            let paid = paid(order, &product.id, 1);
            shop.publish(order, vec![paid])
        });
        futures_util::future::join_all(publish).await;
    }
    let database = shop.stage.database("product");
    let decided = eventually("all decisions", || async {
        let sql = "select state, count(*) from allocation group by state order by state";
        let rows = database.read().await.ok()?.query(sql, &[]).await.ok()?;
        let counts: Vec<(String, i64)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        (counts.iter().map(|(_, count)| count).sum::<i64>() == 64 * ROUNDS).then_some(counts)
    })
    .await;
    assert_eq!(decided, [("DECREASED".to_owned(), ROUNDS), ("SHORT".to_owned(), 63 * ROUNDS)]);
    let left = "select count(*) from product where stock <> 0";
    let left = database.read().await.expect("a connection").query_one(left, &[]).await;
    assert_eq!(left.expect("a count").get::<_, i64>(0), 0);
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_from_16_clients_at_once_registers_one_product() {
    let shop = Shop::open().await;
    for round in 0..20 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let mut request = shop.stage.call(shop.seller, Shop::registration(7));
            let key = format!("round-{round}").parse().expect("ascii");
            request.metadata_mut().insert("idempotency-key", key);
            let mut products = shop.products.clone();
            calls.spawn(async move { products.register_product(request).await });
        }
        let answers = calls.join_all().await;
        let answers: Vec<_> = answers.into_iter().map(|a| a.expect("registers")).collect();
        let first = answers[0].get_ref();
        assert!(answers.iter().all(|answer| answer.get_ref() == first));
        let replayed =
            answers.iter().filter(|a| a.metadata().contains_key("idempotency-replayed")).count();
        assert_eq!(replayed, 15);
    }
    shop.stage.close().await;
}

#[tokio::test]
async fn stock_from_before_there_was_a_limit_takes_back_what_was_ordered() {
    let mut shop = Shop::open().await;
    let product = shop.register(10).await;
    shop.run_by_hand("update product set stock = 2147483647").await;
    shop.run_by_hand("update stock_movement set quantity = 2147483647").await;
    let (one, other) = (base::id::new(), base::id::new());
    shop.publish(one, vec![paid(one, &product.id, i32::MAX)]).await;
    shop.eventually_stock(&product.id, 0).await;
    let restock = RestockProductRequest { product_id: product.id.clone(), quantity: 10 };
    let restock = shop.stage.call(shop.seller, restock);
    shop.products.restock_product(restock).await.expect("restocks");
    // Of its own aggregate: each publication counts its versions from 1.
    shop.publish(base::id::new(), vec![cancelled(one)]).await;
    // The contract's number ends here, the stock does not.
    shop.eventually_stock(&product.id, i32::MAX).await;
    shop.publish(other, vec![paid(other, &product.id, 20)]).await;
    shop.eventually_stock(&product.id, i32::MAX - 10).await;
    shop.stage.close().await;
}

#[tokio::test]
async fn names_from_before_there_was_a_limit_are_trimmed_and_a_page_of_them_is_taken() {
    let mut shop = Shop::open().await;
    for _ in 0..5 {
        shop.register(1).await;
    }
    let sql = "update product set display_name = repeat(' ', 999999) || E'\\u3000한 상\\u2003'";
    shop.run_by_hand(sql).await;
    let (mut seen, mut page_token) = (0, String::new());
    loop {
        let request =
            ListProductsRequest { page_size: 200, page_token, ..ListProductsRequest::default() };
        let page = shop.products.list_products(shop.stage.call(As::Nobody, request)).await;
        let page = page.expect("fits into a message").into_inner();
        seen += page.products.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, 5);
    let migration = include_str!("../../migrations/V2__limits.sql");
    let update = migration.split(";\n").find(|sql| sql.contains("update product"));
    shop.run_by_hand(update.expect("there is one")).await;
    let request = ListProductsRequest::default();
    let page = shop.products.list_products(shop.stage.call(As::Nobody, request)).await;
    let page = page.expect("fits into a message").into_inner();
    assert!(page.products.iter().all(|product| product.display_name == "한 상"));
    shop.stage.close().await;
}
