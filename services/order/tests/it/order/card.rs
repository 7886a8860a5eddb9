//! Orders by card: placed and paid in one call, or not at all.

use base::{Error, error::Kind};
use contracts::{
    Money,
    order::v1::{Order, PlaceOrderRequest, order::State},
};
use testkit::{eventually, stage::As};
use tonic::{Code, Status};

use super::{ANSWERS, Answer, CANCELLED, HELD, Shop};

#[tokio::test]
async fn an_order_by_card_is_placed_and_paid_when_the_call_returns() {
    let shop = Shop::open().await;
    let order = shop.try_place(shop.by_card("tok_1")).await.expect("placed");
    assert_eq!(order.state(), State::Paid);
    assert!(!order.payment_id.is_empty());
    assert_eq!(shop.listed().await, [order]);
    assert_eq!(shop.rows().await, (1, 0));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_order_that_cannot_be_paid_leaves_nothing() {
    let shop = Shop::open().await;
    let bad = [
        ("tok_declined", Code::FailedPrecondition, "CARD_DECLINED"),
        ("tok_away", Code::Unavailable, "PAYMENT_UNAVAILABLE"),
        ("tok_silence", Code::Unavailable, "PAYMENT_UNAVAILABLE"),
    ];
    for (token, code, reason) in bad {
        let refused = shop.try_place(shop.by_card(token)).await.expect_err(token);
        assert_eq!(refused.code(), code, "{token}");
        assert_eq!(Error::from(refused).reason(), reason, "{token}");
        assert_eq!(shop.listed().await, [], "{token}");
    }
    // What was in doubt is cancelled with payment, then it is gone too.
    let ask = || async { (shop.rows().await == (0, 0)).then_some(()) };
    eventually("no order and no task", ask).await;
    shop.stage.close().await;
}

impl Shop {
    fn with_key(&self, key: &str) -> impl Future<Output = Result<Order, Status>> + use<> {
        self.keyed(key, self.by_card("tok_1"))
    }

    /// The same by somebody who has seen a price.
    fn expecting(&self, key: &str) -> impl Future<Output = Result<Order, Status>> + use<> {
        let expected_total = Some(Money::from(("KRW", 1_000)));
        self.keyed(key, PlaceOrderRequest { expected_total, ..self.by_card("tok_1") })
    }

    fn keyed(
        &self,
        key: &str,
        message: PlaceOrderRequest,
    ) -> impl Future<Output = Result<Order, Status>> + use<> {
        let mut request = self.stage.call(As::Member(self.member), message);
        request.metadata_mut().insert("idempotency-key", key.parse().expect("ascii"));
        let mut orders = self.orders.clone();
        async move { Ok(orders.place_order(request).await?.into_inner()) }
    }

    /// Has the catalogue's copy say another price.
    async fn price(&self, price: i64) {
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let sql = "update catalogue set price_minor = $1";
        assert_eq!(reader.execute(sql, &[&price]).await.expect("changes"), 1);
    }

    /// Has its one order be in this state, and its key without an answer.
    async fn unfinished(&self, state: &str) {
        let mut reader = self.stage.database("order").read().await.expect("reads");
        let order = "update orders set pending = $1, state = $1, paid = false, payment_id = null";
        assert_eq!(reader.execute(order, &[&state]).await.expect("changes"), 1);
        let key = "update idempotency set response = null";
        assert_eq!(reader.execute(key, &[]).await.expect("changes"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_from_sixteen_callers_at_once_is_one_order_for_all_of_them() {
    // Nobody's patience ends on a busy machine.
    let shop = Shop::open_with(|settings| settings.deadline.peer_ms = 20_000).await;
    for key in ["one", "two", "three", "four", "five", "six", "seven", "eight"] {
        let calls: tokio::task::JoinSet<_> = (0..16).map(|_| shop.with_key(key)).collect();
        let orders: Vec<Order> =
            calls.join_all().await.into_iter().map(|answer| answer.expect("placed")).collect();
        assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    }
    assert_eq!(shop.rows().await, (8, 0));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_repeated_card_order_that_is_being_given_up_may_come_again() {
    let shop = Shop::open().await;
    shop.with_key("key").await.expect("placed");
    // As after a kill, once the task has begun.
    shop.unfinished("ABORTING").await;
    let again = Error::from(shop.with_key("key").await.expect_err("given up"));
    assert_eq!((again.kind(), again.reason()), (Kind::Unavailable, "PAYMENT_UNAVAILABLE"));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_order_that_another_attempt_gives_up_meanwhile_is_not_placed_without_its_key() {
    let shop = Shop::open().await;
    shop.with_key("key").await.expect("placed");
    let database = shop.stage.database("order");
    // As while the first attempt is under way.
    shop.unfinished("PENDING").await;
    let mut first = database.begin().await.expect("begins");
    assert_eq!(first.execute("delete from orders", &[]).await.expect("gives up"), 1);
    let meanwhile = async {
        // The other has found the key, and waits for the order.
        waiting(&shop, 1).await;
        assert_eq!(first.execute("delete from idempotency", &[]).await.expect("gives up"), 1);
        first.commit().await.expect("commits");
    };
    let (again, ()) = tokio::join!(shop.with_key("key"), meanwhile);
    let again = Error::from(again.expect_err("given up"));
    assert_eq!((again.kind(), again.reason()), (Kind::Unavailable, "PAYMENT_UNAVAILABLE"));
    assert_eq!(shop.rows().await, (0, 0));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_order_that_another_attempt_removes_before_it_is_locked_may_come_again() {
    let shop = Shop::open().await;
    shop.with_key("key").await.expect("placed");
    let database = shop.stage.database("order");
    shop.unfinished("ABORTING").await;
    let mut first = database.begin().await.expect("begins");
    first.query("select from orders for update", &[]).await.expect("locks");
    let meanwhile = async {
        // The other has found the key and the order, and waits for the order.
        waiting(&shop, 1).await;
        for sql in ["delete from idempotency", "delete from orders"] {
            assert_eq!(first.execute(sql, &[]).await.expect("gives up"), 1);
        }
        first.commit().await.expect("commits");
    };
    let (again, ()) = tokio::join!(shop.with_key("key"), meanwhile);
    let again = Error::from(again.expect_err("given up"));
    assert_eq!((again.kind(), again.reason()), (Kind::Unavailable, "PAYMENT_UNAVAILABLE"));
    assert_eq!(shop.rows().await, (0, 0));
    shop.stage.close().await;
}

#[tokio::test]
async fn a_card_order_under_way_is_not_refused_for_a_price_that_has_changed_since() {
    let shop = Shop::open().await;
    let placed = shop.expecting("key").await.expect("placed");
    // As while the first attempt is under way.
    shop.unfinished("PENDING").await;
    shop.price(1_001).await;
    let again = Error::from(shop.expecting("key").await.expect_err("not decided"));
    assert_eq!((again.kind(), again.reason()), (Kind::Unavailable, "OUTCOME_PENDING"));
    // Once the price is as it was the second goes on with the first.
    shop.price(1_000).await;
    let again = shop.expecting("key").await.expect("placed");
    assert_eq!(again.id, placed.id);
    shop.price(1_001).await;
    assert_eq!(shop.expecting("key").await.expect("answered before"), again);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_price_that_was_refused_stays_refused_under_its_key() {
    let shop = Shop::open().await;
    shop.price(1_001).await;
    for price in [1_001, 1_000] {
        // An attempt that came first, and reaches the database last, has seen another price.
        shop.price(price).await;
        let refused = Error::from(shop.expecting("key").await.expect_err("refused"));
        assert_eq!((refused.kind(), refused.reason()), (Kind::Conflict, "PRICE_CHANGED"));
    }
    assert_eq!(shop.rows().await, (0, 0));
    let reused = Error::from(shop.with_key("key").await.expect_err("another request"));
    assert_eq!(reused.reason(), "IDEMPOTENCY_KEY_REUSED");
    shop.expecting("another").await.expect("placed");
    shop.stage.close().await;
}

#[tokio::test]
async fn an_abortion_and_the_end_of_a_late_attempt_do_not_deadlock() {
    let shop = Shop::open_with(|settings| settings.deadline.peer_ms = 20_000).await;
    let placed = shop.with_key("key").await.expect("placed");
    let database = shop.stage.database("order");
    shop.unfinished("PENDING").await;
    ANSWERS.lock().expect("no panic").insert(placed.id.clone(), vec![Answer::Held]);
    let mut reader = database.read().await.expect("reads");
    let task = "insert into task (kind, key, due_at, payload)
         select 'abort-card-order', id, now(), '' from orders";
    reader.execute(task, &[]).await.expect("schedules");
    let asked = || async { CANCELLED.lock().expect("no panic").contains(&placed.id).then_some(()) };
    eventually("payment asked to cancel", asked).await;

    let mut late = database.begin().await.expect("begins");
    late.batch("set local deadlock_timeout = '1ms'").await.expect("a superuser may");
    late.query("select from orders for update", &[]).await.expect("locks");
    HELD.notify_one();
    waiting(&shop, 1).await;
    late.execute("delete from idempotency", &[]).await.expect("nobody waits for the other");
    late.commit().await.expect("commits");
    eventually("no order and no task", || async { (shop.rows().await == (0, 0)).then_some(()) })
        .await;
    shop.stage.close().await;
}

/// Waits until so many sessions wait for a lock.
async fn waiting(shop: &Shop, sessions: i64) {
    let sql = "select count(*) from pg_stat_activity
               where datname = current_database() and wait_event_type = 'Lock'";
    eventually("sessions that wait for a lock", || async {
        let mut reader = shop.stage.database("order").read().await.ok()?;
        (reader.query_one(sql, &[]).await.ok()?.get::<_, i64>(0) == sessions).then_some(())
    })
    .await;
}

/// Whether an abortion was carried out in this process.
fn aborted() -> bool {
    let runs = telemetry::readings().into_iter().find(|it| it.name == "hansang.task.runs");
    runs.is_some_and(|it| it.points.iter().any(|it| it.label("task") == "abort-card-order"))
}

#[tokio::test]
async fn a_card_order_that_is_placed_just_when_its_time_is_over_stays_paid() {
    let shop = Shop::open().await;
    let database = shop.stage.database("order");
    let place = shop.try_place(shop.by_card("tok_held"));
    let meanwhile = async {
        eventually("a pending order", || async { (shop.rows().await == (1, 1)).then_some(()) })
            .await;
        let mut lock = database.begin().await.expect("begins");
        lock.query("select id from orders for update", &[]).await.expect("locks");
        HELD.notify_one();
        waiting(&shop, 1).await;
        let mut reader = database.read().await.expect("reads");
        reader.execute("update task set due_at = now()", &[]).await.expect("is due");
        waiting(&shop, 2).await;
        lock.rollback().await;
    };
    let (placed, ()) = tokio::join!(place, meanwhile);
    let placed = placed.expect("placed");
    assert_eq!(placed.state(), State::Paid);
    eventually("the task carried out", || async { aborted().then_some(()) }).await;
    assert!(
        !CANCELLED.lock().expect("no panic").contains(&placed.id),
        "payment was asked to cancel"
    );
}
