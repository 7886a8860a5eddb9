//! Payment through gRPC on real Postgres; the test plays the order context.

use std::sync::atomic::{AtomicI64, Ordering};

use contracts::{
    Money,
    order::v1::{
        OrderCancelled, OrderEvent, OrderPlaced, PaymentMethod, order::CancelReason,
        order_event::Event, order_events_server::OrderEventsServer,
    },
    payment::v1::{
        CancelPaymentRequest, GetWalletRequest, ListPaymentsRequest, ListWalletEntriesRequest,
        Payment, TopUpWalletRequest, payment::State, payment_service_client::PaymentServiceClient,
    },
};
use kit::{
    House, Service,
    event::{self, Draft},
    id::Uuid,
    testing::stage::{As, Stage, eventually},
};
use prost::Message as _;
use tonic::Code;

static ORDER: Service = Service {
    name: "order",
    migrations: kit::migrations![],
    build: |house: &mut House<'_>| {
        house.publish::<OrderEventsServer<()>>();
        Ok(())
    },
};

struct Shop {
    stage: Stage,
    payments: PaymentServiceClient<tonic::transport::Channel>,
    member: Uuid,
    published: AtomicI64,
}

impl Shop {
    /// A shop and a member with this much in their wallet.
    async fn open(balance: i64) -> Self {
        let stage = Stage::open(&[&payment::SERVICE, &ORDER], contracts::DESCRIPTORS).await;
        let payments = PaymentServiceClient::new(stage.channel());
        let published = AtomicI64::new(0);
        let shop = Self { stage, payments, member: kit::id::new(), published };
        let request = TopUpWalletRequest {
            member_id: shop.member.to_string(),
            amount: Some(Money::from(("KRW", balance))),
        };
        let request = shop.stage.call(As::Member(shop.member), request);
        shop.payments.clone().top_up_wallet(request).await.expect("tops up");
        shop
    }

    async fn balance(&self) -> i64 {
        let request = GetWalletRequest { member_id: self.member.to_string() };
        let request = self.stage.call(As::Member(self.member), request);
        let wallet = self.payments.clone().get_wallet(request).await.expect("is there");
        wallet.into_inner().balance.expect("has one").units
    }

    async fn payments_in(&self, state: State) -> Vec<Payment> {
        let request = ListPaymentsRequest {
            state: state.into(),
            page_size: 200,
            ..ListPaymentsRequest::default()
        };
        let request = self.stage.call(As::Member(self.member), request);
        let list = self.payments.clone().list_payments(request).await.expect("lists");
        list.into_inner().payments
    }

    async fn eventually(&self, state: State, count: usize) {
        let ask = || async { (self.payments_in(state).await.len() == count).then_some(()) };
        eventually(&format!("{count} payments {state:?}"), ask).await;
    }

    fn placed(&self, order: Uuid, total: i64) -> Event {
        Event::OrderPlaced(OrderPlaced {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            lines: Vec::new(),
            total: Some(Money::from(("KRW", total))),
            payment_method: PaymentMethod::Wallet.into(),
        })
    }

    fn cancelled(&self, order: Uuid) -> Event {
        Event::OrderCancelled(OrderCancelled {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            reason: CancelReason::OutOfStock.into(),
            lines: Vec::new(),
        })
    }

    /// Publishes events of orders, each twice: late and double messages are normal.
    async fn publish(&self, events: Vec<(Uuid, Event)>) {
        let mut tx = self.stage.database("order").begin().await.expect("begins");
        let mut drafts = Vec::new();
        for (order, event) in events.into_iter().flat_map(|event| [event.clone(), event]) {
            let version = self.published.fetch_add(1, Ordering::Relaxed);
            let kind = match event {
                Event::OrderPlaced(_) => "OrderPlaced",
                Event::OrderCancelled(_) => "OrderCancelled",
                _ => panic!("not one that payment listens to"),
            };
            let payload = OrderEvent { frame: None, event: Some(event) }.encode_to_vec();
            drafts.push(Draft::new(kind, order, version, order, payload));
        }
        event::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// Each transaction sums to zero; the balance is the sum of its entries.
    async fn assert_books_balance(&self) {
        let mut reader = self.stage.database("payment").read().await.expect("reads");
        let row = reader
            .query_one(
                "select (select count(*) from (select from ledger_entry group by transaction_id
                         having sum(amount_minor) <> 0) unbalanced),
                   (select sum(amount_minor)::bigint from ledger_entry where member_id = $1)",
                &[&self.member],
            )
            .await
            .expect("sums");
        assert_eq!(row.get::<_, i64>(0), 0, "unbalanced transactions");
        assert_eq!(row.get::<_, i64>(1), self.balance().await);
    }
}

#[tokio::test]
async fn a_wallet_pays_an_order_and_gets_it_back_when_it_is_cancelled() {
    let shop = Shop::open(999_999).await;
    let order = kit::id::new();
    shop.publish(vec![(order, shop.placed(order, 10_000))]).await;
    shop.eventually(State::Done, 1).await;
    assert_eq!(shop.balance().await, 989_999);

    shop.publish(vec![(order, shop.cancelled(order))]).await;
    shop.eventually(State::Cancelled, 1).await;
    assert_eq!(shop.balance().await, 999_999);
    assert_eq!(shop.payments_in(State::Cancelled).await[0].cancel_reason, "OUT_OF_STOCK");

    let request = ListWalletEntriesRequest {
        member_id: shop.member.to_string(),
        ..ListWalletEntriesRequest::default()
    };
    let request = shop.stage.call(As::Member(shop.member), request);
    let entries = shop.payments.clone().list_wallet_entries(request).await.expect("lists");
    let amounts: Vec<i64> =
        entries.into_inner().entries.into_iter().filter_map(|e| Some(e.amount?.units)).collect();
    assert_eq!(amounts, [10_000, -10_000, 999_999]);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn however_many_orders_race_a_balance_is_never_below_zero() {
    let shop = Shop::open(10_500).await;
    let orders: Vec<Uuid> = (0..64).map(|_| kit::id::new()).collect();
    shop.publish(orders.iter().map(|order| (*order, shop.placed(*order, 1_000))).collect()).await;
    shop.eventually(State::Declined, 54).await;
    assert_eq!(shop.payments_in(State::Done).await.len(), 10);
    assert_eq!(shop.balance().await, 500);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_was_cancelled_before_it_was_heard_of_is_never_charged() {
    let shop = Shop::open(5_000).await;
    let order = kit::id::new();
    let request =
        CancelPaymentRequest { order_id: order.to_string(), member_id: shop.member.to_string() };
    let request = shop.stage.call(As::Service("order"), request);
    let answer = shop.payments.clone().cancel_payment(request).await.expect("cancels");
    assert_eq!(answer.into_inner().payment, None);

    let other = kit::id::new();
    shop.publish(vec![(order, shop.placed(order, 1_000)), (other, shop.placed(other, 2_000))])
        .await;
    shop.eventually(State::Done, 1).await;
    assert_eq!(shop.balance().await, 3_000);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_wallet_is_its_owners_alone() {
    let shop = Shop::open(1_000).await;
    let request = GetWalletRequest { member_id: shop.member.to_string() };
    for (caller, code) in [
        (As::Nobody, Code::Unauthenticated),
        (As::Member(kit::id::new()), Code::NotFound),
        (As::Seller(kit::id::new()), Code::NotFound),
        (As::Service("order"), Code::PermissionDenied),
    ] {
        let request = shop.stage.call(caller, request.clone());
        let refused = shop.payments.clone().get_wallet(request).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    let request = shop.stage.call(As::Admin(kit::id::new()), request);
    shop.payments.clone().get_wallet(request).await.expect("an admin may");
    shop.stage.close().await;
}

#[tokio::test]
async fn the_ledger_is_written_once() {
    let shop = Shop::open(1_000).await;
    let mut tx = shop.stage.database("payment").begin().await.expect("begins");
    let unbalanced = tx
        .execute(
            "with t as (insert into ledger_transaction (id, kind) values ($1, 'TOP_UP') returning id)
             insert into ledger_entry (transaction_id, account, amount_minor)
             select id, 'SANDBOX', 1 from t",
            &[&kit::id::new()],
        )
        .await
        .expect_err("refused");
    assert_eq!(kit::error::constraint(&unbalanced), Some("ledger_sums_to_zero"));
    shop.stage.close().await;
}
