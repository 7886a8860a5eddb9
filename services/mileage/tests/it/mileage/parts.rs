//! Parts of orders: some of what they spent comes back, some of what they earned is taken back.

use std::{sync::atomic::Ordering, time::Duration};

use base::id::Uuid;
use contracts::{
    Money,
    mileage::v1::mileage_entry::{Kind, State},
    order::v1::{OrderEvent, OrderLinesCancelled, ReturnAccepted, order_event},
    payment::v1::{PaymentEvent, PaymentPartRefunded, payment_event},
};
use eventlog::Draft;
use prost::Message as _;
use testkit::eventually;

use super::{Fact, Payment, Shop};

const DAY: Duration = Duration::from_hours(24);

impl Shop {
    /// Publishes that so much is left of a payment, twice.
    async fn reduced(&self, payment: Payment, left: i64) {
        let reduced = PaymentPartRefunded {
            payment_id: payment.id.to_string(),
            order_id: payment.order.to_string(),
            member_id: self.member.to_string(),
            part_id: base::id::new().to_string(),
            amount_left: Some(Money::from(("KRW", left))),
            refund: None,
            wallet_refund: None,
        };
        let event = Some(payment_event::Event::PaymentPartRefunded(reduced));
        let payload = PaymentEvent { frame: None, event }.encode_to_vec();
        let drafts = [0, 0].map(|_: i32| {
            let version = self.published.fetch_add(1, Ordering::Relaxed);
            let (kind, order) = ("PaymentPartRefunded", payment.order);
            Draft::new(kind, payment.id, version, order, payload.clone())
        });
        let mut tx = self.payments.begin().await.expect("begins");
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// Publishes an event of an order, twice.
    async fn ordered(&self, kind: &'static str, order: Uuid, event: order_event::Event) {
        let payload = OrderEvent { frame: None, event: Some(event) }.encode_to_vec();
        let drafts = [1, 2]
            .map(|version| Draft::new(kind, base::id::new(), version, order, payload.clone()));
        let mut tx = self.stage.database("order").begin().await.expect("begins");
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    async fn lines_cancelled(&self, order: Uuid, points: i64) {
        let cancelled = OrderLinesCancelled {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            part_id: base::id::new().to_string(),
            points,
            ..OrderLinesCancelled::default()
        };
        let event = order_event::Event::OrderLinesCancelled(cancelled);
        self.ordered("OrderLinesCancelled", order, event).await;
    }

    async fn returned(&self, order: Uuid, points: i64) {
        let accepted = ReturnAccepted {
            order_id: order.to_string(),
            member_id: self.member.to_string(),
            return_id: base::id::new().to_string(),
            points,
            ..ReturnAccepted::default()
        };
        self.ordered("ReturnAccepted", order, order_event::Event::ReturnAccepted(accepted)).await;
    }

    /// Waits until so many parts are known.
    async fn parts_are(&self, count: i64) {
        let ask = || async {
            let mut reader = self.database.read().await.ok()?;
            let row = reader.query_one("select count(*) from mileage_part", &[]).await.ok()?;
            (row.get::<_, i64>(0) == count).then_some(())
        };
        eventually(&format!("{count} parts"), ask).await;
    }
}

#[tokio::test]
async fn what_is_left_of_a_payment_is_worth_a_hundredth_of_it() {
    let shop = Shop::open().await;
    let payment = Payment::of(10_099);
    shop.publish(&[(payment, Fact::Approved)]).await;
    // The second comes late: the least counts.
    for left in [9_999, 3_000, 6_000] {
        shop.reduced(payment, left).await;
    }
    shop.settle().await;
    assert_eq!(shop.own_balance().await, 30);
    assert_eq!(shop.history().await, [(Kind::Earn, 100), (Kind::Revoke, -1), (Kind::Revoke, -69)]);
    let entry = shop.entry(payment).await.expect("is there");
    assert_eq!((entry.points, entry.state()), (100, State::Earned));
    shop.publish(&[(payment, Fact::Cancelled)]).await;
    shop.reduced(payment, 0).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, 0);
    let told = shop.told(Some(payment.order)).await;
    assert_eq!(told, ["MileageEarned", "MileageRevoked", "MileageRevoked", "MileageCancelled"]);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_taken_back_of_a_payment_before_its_approval_is_heard_of_is_not_earned() {
    let shop = Shop::open().await;
    let payment = Payment::of(10_000);
    shop.reduced(payment, 6_000).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, 60);
    shop.publish(&[(payment, Fact::Approved)]).await;
    assert_eq!(shop.earn(payment).await.expect("earned already").points, 60);
    shop.settle().await;
    assert_eq!(shop.own_balance().await, 60);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_taken_back_after_it_was_spent_is_owed_in_parts_too() {
    let shop = Shop::open().await;
    let payment = shop.earned(100).await;
    shop.spend(base::id::new(), 80).await.expect("enough");
    shop.reduced(payment, 5_000).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, -30);
    shop.earned(50).await;
    assert_eq!(shop.own_balance().await, 20);
    shop.publish(&[(payment, Fact::Cancelled)]).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, -30);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_gives_its_points_back_in_parts_and_then_the_rest() {
    let shop = Shop::open().await;
    shop.earned(300).await;
    shop.later(DAY).await;
    shop.earned(100).await;
    let order = base::id::new();
    shop.spend(order, 350).await.expect("enough");
    shop.lines_cancelled(order, 20).await;
    shop.eventually_has(70).await;
    shop.returned(order, 40).await;
    shop.eventually_has(110).await;
    shop.parts_are(2).await;
    assert_eq!(shop.spend(order, 350).await.expect("it has spent them"), -350);
    // What expires last came back first: 20 and 30 of the younger, then of the older.
    let history = shop.history().await;
    let restored = [(Kind::Restore, 20), (Kind::Restore, 10), (Kind::Restore, 30)];
    assert_eq!(history[3..], restored);
    for _ in 0..2 {
        assert_eq!(shop.release(order).await, 350);
    }
    assert_eq!(shop.own_balance().await, 400);
    shop.returned(order, 40).await;
    shop.parts_are(3).await;
    assert_eq!(shop.own_balance().await, 400, "it has nothing to give back any more");
    let told = ["MileageSpent", "MileageRestored", "MileageRestored", "MileageRestored"];
    assert_eq!(shop.told(Some(order)).await, told);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_expired_meanwhile_comes_back_and_expires_at_once() {
    let shop = Shop::open().await;
    shop.earned(100).await;
    let order = base::id::new();
    shop.spend(order, 60).await.expect("enough");
    shop.later(366 * DAY).await;
    shop.eventually_has(0).await;
    shop.returned(order, 25).await;
    shop.parts_are(1).await;
    let history = shop.history().await;
    assert_eq!(history[3..], [(Kind::Restore, 25), (Kind::Expire, -25)]);
    assert_eq!(shop.own_balance().await, 0);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn parts_race_spending_earning_and_releasing() {
    let shop = Shop::open().await;
    for round in 1..=30 {
        let (payment, order) = (Payment::of(10_000), base::id::new());
        shop.earn(payment).await.expect("earns");
        shop.spend(order, 60).await.expect("enough");
        let facts = [(payment, Fact::Cancelled)];
        tokio::join!(
            shop.lines_cancelled(order, 20),
            shop.returned(order, 30),
            shop.reduced(payment, 4_000),
            shop.publish(&facts),
            shop.earned(1),
            shop.release(order),
        );
        shop.parts_are(2 * round).await;
        shop.release(order).await;
        shop.settle().await;
        assert_eq!(shop.own_balance().await, round);
        shop.assert_books_balance().await;
    }
    shop.stage.close().await;
}
