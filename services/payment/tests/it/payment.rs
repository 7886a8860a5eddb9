//! Payment through gRPC on real Postgres; the test plays the order context.

mod deposits;
mod parts;
mod wallets;

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    Money,
    clock::v1::{AdvanceRequest, clock_service_client::ClockServiceClient},
    order::v1::{
        OrderCancelled, OrderEvent, OrderLine, OrderPlaced, PaymentMethod, order::CancelReason,
        order_event::Event,
    },
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, ConfirmDepositRequest, GetWalletRequest,
        ListPaymentsRequest, ListWalletEntriesRequest, Payment, TopUpWalletRequest, payment::State,
        payment_service_client::PaymentServiceClient,
    },
};
use eventlog::Draft;
use prost::Message as _;
use settings::Settings;
use testkit::{
    eventually,
    stage::{As, Stage},
};
use tonic::Code;

use crate::others::{AWAY, MEMBER, MILEAGE, ORDER, PRODUCT, SHORT, SILENCE};

struct Shop {
    stage: Stage,
    payments: PaymentServiceClient<tonic::transport::Channel>,
    member: Uuid,
    published: AtomicI64,
}

impl Shop {
    /// A shop and a member with this much in their wallet.
    async fn open(balance: i64) -> Self {
        Self::open_with(balance, |_| {}).await
    }

    async fn open_with(balance: i64, change: impl FnOnce(&mut Settings)) -> Self {
        let services = [&payment::SERVICE, &ORDER, &MEMBER, &PRODUCT, &MILEAGE];
        let stage = Stage::open_with(&services, &contracts::API, change).await;
        let stage = stage.expect("the services start");
        let payments = PaymentServiceClient::new(stage.channel());
        let published = AtomicI64::new(0);
        let shop = Self { stage, payments, member: base::id::new(), published };
        shop.top_up(balance).await;
        shop
    }

    async fn top_up(&self, won: i64) {
        let request = TopUpWalletRequest {
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", won))),
            card_token: "tok_visa".into(),
        };
        let request = self.stage.call(As::Member(self.member), request);
        self.payments.clone().top_up_wallet(request).await.expect("tops up");
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
            ..OrderPlaced::default()
        })
    }

    fn cancelled(&self, order: Uuid) -> Event {
        Event::OrderCancelled(OrderCancelled {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            reason: CancelReason::OutOfStock.into(),
            ..OrderCancelled::default()
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
        eventlog::append(&mut tx, &drafts).await.expect("appends");
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
    let order = base::id::new();
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
    let shop = Shop::open(500).await;
    let database = shop.stage.database("payment");
    for round in 1..=30_i64 {
        shop.top_up(10_000).await;
        // Each by itself: they come in batches of any size.
        let orders = (0..64).map(|_| base::id::new());
        let placed = orders.map(|order| shop.publish(vec![(order, shop.placed(order, 1_000))]));
        futures_util::future::join_all(placed).await;
        let decided = eventually("64 decisions", || async {
            let sql = "select count(*) filter (where state = 'DONE'), count(*) from payment
                 where state in ('DONE', 'DECLINED')";
            let row = database.read().await.ok()?.query_one(sql, &[]).await.ok()?;
            (row.get::<_, i64>(1) == 64 * round).then(|| row.get::<_, i64>(0))
        })
        .await;
        assert_eq!(decided, 10 * round);
        assert_eq!(shop.balance().await, 500);
    }
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_was_cancelled_before_it_was_heard_of_is_never_charged() {
    let shop = Shop::open(5_000).await;
    let order = base::id::new();
    let request = CancelPaymentRequest {
        order_id: order.to_string(),
        member_id: shop.member.to_string(),
        ..CancelPaymentRequest::default()
    };
    let request = shop.stage.call(As::ServiceFor("order", shop.member), request);
    let answer = shop.payments.clone().cancel_payment(request).await.expect("cancels");
    assert_eq!(answer.into_inner().payment, None);

    let other = base::id::new();
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
        (As::Member(base::id::new()), Code::NotFound),
        (As::Seller(base::id::new()), Code::NotFound),
        (As::Service("order"), Code::PermissionDenied),
    ] {
        let request = shop.stage.call(caller, request.clone());
        let refused = shop.payments.clone().get_wallet(request).await.expect_err("refused");
        assert_eq!(refused.code(), code, "{caller:?}");
    }
    let request = shop.stage.call(As::Admin(base::id::new()), request);
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
             select id, 'CARD', 1 from t",
            &[&base::id::new()],
        )
        .await
        .expect_err("refused");
    assert_eq!(base::constraint(&unbalanced), Some("ledger_sums_to_zero"));
    shop.stage.close().await;
}

impl Shop {
    /// A bank transfer that waits for its deposit; product answers by the quantity.
    async fn waiting(&self, quantity: i32) -> Payment {
        let order = base::id::new();
        let line =
            OrderLine { product_id: Uuid::nil().to_string(), quantity, ..OrderLine::default() };
        let placed = Event::OrderPlaced(OrderPlaced {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            lines: vec![line],
            total: Some(Money::from(("KRW", 3_000))),
            payment_method: PaymentMethod::BankTransfer.into(),
            ..OrderPlaced::default()
        });
        self.publish(vec![(order, placed)]).await;
        let ask = || async {
            let waiting = self.payments_in(State::WaitingForDeposit).await;
            waiting.into_iter().find(|payment| payment.order_id == order.to_string())
        };
        eventually("a payment that waits", ask).await
    }

    async fn confirm(&self, payment: &Payment, amount: i64) -> Result<State, Error> {
        let request = ConfirmDepositRequest {
            payment_id: payment.id.clone(),
            amount: Some(Money::from(("KRW", amount))),
            depositor_name: "Kim".into(),
        };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        let answer = self.payments.clone().confirm_deposit(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().state())
    }

    async fn authorise(&self, order: Uuid, token: &str) -> Result<State, Error> {
        let request = AuthorizeRequest {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            amount: Some(Money::from(("KRW", 3_000))),
            card_token: token.into(),
            ..AuthorizeRequest::default()
        };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        let answer = self.payments.clone().authorize(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().state())
    }
}

#[tokio::test]
async fn a_deposit_is_confirmed_once_however_often_it_is_asked() {
    let shop = Shop::open(1).await;
    let payment = shop.waiting(3).await;
    assert!(payment.deposit_due_time.is_some() && payment.deposit_reference.starts_with("HS-"));
    assert_eq!(shop.confirm(&payment, 2_999).await.expect_err("wrong").reason(), "WRONG_AMOUNT");
    for _ in 0..3 {
        assert_eq!(shop.confirm(&payment, 3_000).await.expect("confirms"), State::Done);
    }
    let request = CancelPaymentRequest {
        order_id: payment.order_id.clone(),
        member_id: shop.member.to_string(),
        ..CancelPaymentRequest::default()
    };
    let request = shop.stage.call(As::ServiceFor("order", shop.member), request);
    let refused = shop.payments.clone().cancel_payment(request).await.expect_err("too late");
    assert_eq!(Error::from(refused).reason(), "DEPOSIT_CONFIRMED");
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_deposit_for_goods_that_are_gone_cancels_the_payment() {
    let shop = Shop::open(1).await;
    let payment = shop.waiting(SHORT).await;
    assert_eq!(shop.confirm(&payment, 3_000).await.expect_err("short").reason(), "OUT_OF_STOCK");
    let cancelled = shop.payments_in(State::Cancelled).await;
    assert_eq!(cancelled[0].cancel_reason, "OUT_OF_STOCK");
    let again = shop.confirm(&payment, 3_000).await.expect_err("over");
    assert_eq!(again.reason(), "OUT_OF_STOCK");
    shop.stage.close().await;
}

#[tokio::test]
async fn a_confirmation_that_never_reached_product_leaves_the_payment_waiting() {
    let shop = Shop::open(1).await;
    let payment = shop.waiting(AWAY).await;
    let away = shop.confirm(&payment, 3_000).await.expect_err("away");
    assert_eq!((away.kind(), away.reason()), (Kind::Unavailable, "PRODUCT_UNAVAILABLE"));
    assert_eq!(shop.payments_in(State::WaitingForDeposit).await.len(), 1);
    assert_eq!(shop.stage.unanswered_keys("payment").await, 0);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_confirmation_in_doubt_goes_on_by_itself() {
    let shop = Shop::open(1).await;
    let payment = shop.waiting(SILENCE).await;
    let pending = shop.confirm(&payment, 3_000).await.expect_err("in doubt");
    assert_eq!((pending.kind(), pending.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    shop.eventually(State::Done, 1).await;
    assert_eq!(shop.stage.unanswered_keys("payment").await, 0);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_is_charged_once_and_refunded_with_its_order() {
    let shop = Shop::open(1).await;
    let order = base::id::new();
    assert_eq!(shop.authorise(order, "tok_1").await.expect("charges"), State::Done);
    assert_eq!(shop.authorise(order, "tok_1").await.expect("again"), State::Done);
    let declined = shop.authorise(base::id::new(), "tok_declined").await.expect_err("declined");
    assert_eq!(declined.reason(), "CARD_DECLINED");
    shop.publish(vec![(order, shop.cancelled(order))]).await;
    shop.eventually(State::Cancelled, 1).await;
    let late = shop.authorise(order, "tok_1").await.expect_err("cancelled");
    assert_eq!(late.reason(), "ORDER_CANCELLED");
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cancellation_and_a_confirmation_exactly_one_wins() {
    let shop = Shop::open(1).await;
    let (mut confirmed, mut cancelled) = (0, 0);
    for _ in 0..100 {
        let payment = shop.waiting(3).await;
        let request = CancelPaymentRequest {
            order_id: payment.order_id.clone(),
            member_id: shop.member.to_string(),
            ..CancelPaymentRequest::default()
        };
        let request = shop.stage.call(As::ServiceFor("order", shop.member), request);
        let mut payments = shop.payments.clone();
        let (confirm, cancel) =
            tokio::join!(shop.confirm(&payment, 3_000), payments.cancel_payment(request));
        match (confirm, cancel.map_err(Error::from)) {
            (Ok(State::Done), Err(refused)) => {
                assert!(["DEPOSIT_CONFIRMED", "CONFIRMING"].contains(&refused.reason()));
                confirmed += 1;
            }
            (Err(refused), Ok(_)) => {
                assert_eq!(refused.reason(), "PAYMENT_CANCELLED");
                cancelled += 1;
            }
            both => panic!("not one of them: {both:?}"),
        }
    }
    println!("{confirmed} confirmed, {cancelled} cancelled");
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn a_deposit_is_waited_for_as_long_as_is_configured() {
    let hour = Duration::from_hours(1);
    let shop = Shop::open_with(1_000, |settings| {
        let section = serde_json::json!({ "deposit_within_s": hour.as_secs() });
        let section = serde_json::from_value(section).expect("a section");
        settings.service.insert("payment".into(), section);
        settings.testing.clock = true;
    })
    .await;
    let waiting = shop.waiting(1).await;
    let request = AdvanceRequest { duration: Some(hour.try_into().expect("a duration")) };
    let request = shop.stage.call(As::Admin(base::id::new()), request);
    ClockServiceClient::new(shop.stage.channel()).advance(request).await.expect("advances");
    let late = shop.confirm(&waiting, 3_000).await.expect_err("too late");
    assert_eq!(late.reason(), "DEPOSIT_EXPIRED");
    shop.eventually(State::Expired, 1).await;
    shop.stage.close().await;
}
