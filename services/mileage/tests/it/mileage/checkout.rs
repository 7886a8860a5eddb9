//! Points around checkout: spent, released, expired, owed.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    mileage::v1::{
        GetMileageRequest, Mileage, ReleasePointsRequest, SpendPointsRequest, mileage_entry::Kind,
    },
    order::v1::{OrderCancelled, OrderEvent, order_event},
};
use eventlog::Draft;
use pg::clock;
use prost::Message as _;
use testkit::{eventually, stage::As};
use tonic::Code;

use super::{Fact, Payment, Shop, all};

pub(super) const DAY: Duration = Duration::from_hours(24);

impl Shop {
    async fn spend_as(&self, caller: As, order: Uuid, points: i64) -> Result<i64, Error> {
        let (order_id, member_id) = (order.to_string(), self.member.to_string());
        let request = SpendPointsRequest { order_id, member_id, points };
        let request = self.stage.call(caller, request);
        let answer = self.mileage.clone().spend_points(request).await.map_err(Error::from)?;
        Ok(answer.into_inner().entry.expect("is there").points)
    }

    pub(super) async fn spend(&self, order: Uuid, points: i64) -> Result<i64, Error> {
        self.spend_as(As::ServiceFor("order", self.member), order, points).await
    }

    pub(super) async fn release(&self, order: Uuid) -> i64 {
        let (order_id, member_id) = (order.to_string(), self.member.to_string());
        let request = ReleasePointsRequest { order_id, member_id };
        let request = self.stage.call(As::ServiceFor("order", self.member), request);
        let answer = self.mileage.clone().release_points(request).await.expect("releases");
        answer.into_inner().points
    }

    /// Publishes that an order was cancelled, twice, as versions before said it.
    async fn cancelled(&self, order: Uuid) {
        self.cancelled_with(order, None).await;
    }

    /// Publishes that an order was cancelled which had spent so many points, twice.
    async fn cancelled_with(&self, order: Uuid, points: Option<i64>) {
        let mut tx = self.stage.database("order").begin().await.expect("begins");
        let drafts = [1, 2].map(|version| {
            let cancelled = OrderCancelled {
                order_id: order.to_string(),
                member_id: self.member.to_string(),
                points: points.unwrap_or_default(),
                says_checkout: points.is_some(),
                ..OrderCancelled::default()
            };
            let event = Some(order_event::Event::OrderCancelled(cancelled));
            let payload = OrderEvent { frame: None, event }.encode_to_vec();
            Draft::new("OrderCancelled", order, version, order, payload)
        });
        eventlog::append(&mut tx, &drafts).await.expect("appends");
        tx.commit().await.expect("commits");
    }

    /// A payment that has earned so many points.
    pub(super) async fn earned(&self, points: i64) -> Payment {
        let payment = Payment::of(points * 100);
        self.earn(payment).await.expect("earns");
        payment
    }

    pub(super) async fn later(&self, by: Duration) {
        clock::advance(&self.database, by).await.expect("moves");
    }

    async fn mileage(&self) -> Mileage {
        let request = GetMileageRequest { member_id: self.member.to_string() };
        let request = self.stage.call(As::Member(self.member), request);
        self.mileage.clone().get_mileage(request).await.expect("the owner may").into_inner()
    }

    /// What changed the balance, the oldest first.
    pub(super) async fn history(&self) -> Vec<(Kind, i64)> {
        let entries = self.entries(all()).await;
        entries.iter().rev().map(|entry| (entry.kind(), entry.points)).collect()
    }

    pub(super) async fn eventually_has(&self, balance: i64) {
        let ask = || async { (self.own_balance().await == balance).then_some(()) };
        eventually(&format!("a balance of {balance}"), ask).await;
    }

    /// Each balance is the sum of its entries, and what the lots have left.
    pub(super) async fn assert_books_balance(&self) {
        let mut reader = self.database.read().await.expect("reads");
        let sql = "select
               (coalesce((select sum(points) from mileage_entry), 0)
                 + coalesce((select sum(points) from mileage_movement), 0))::bigint,
               (coalesce((select sum(remaining) from mileage_lot), 0)
                 - coalesce((select sum(debt) from mileage_account), 0))::bigint";
        let row = reader.query_one(sql, &[]).await.expect("sums");
        assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1), "entries, lots");
    }
}

#[tokio::test]
async fn an_order_is_paid_with_points_once_and_gives_them_back_once() {
    let shop = Shop::open().await;
    shop.earned(300).await;
    shop.earned(100).await;
    let order = base::id::new();
    for _ in 0..3 {
        assert_eq!(shop.spend(order, 350).await.expect("enough"), -350);
    }
    assert_eq!(shop.own_balance().await, 50);
    let other = shop.spend(order, 349).await.expect_err("another number");
    assert_eq!((other.kind(), other.reason()), (base::error::Kind::Invalid, "INVALID_FIELD"));
    let short = shop.spend(base::id::new(), 51).await.expect_err("too many");
    assert_eq!(short.reason(), "INSUFFICIENT_POINTS");

    shop.cancelled(order).await;
    shop.eventually_has(400).await;
    for _ in 0..2 {
        assert_eq!(shop.release(order).await, 350);
    }
    assert_eq!(shop.own_balance().await, 400);
    let late = shop.spend(order, 350).await.expect_err("is over");
    assert_eq!(late.reason(), "ORDER_CANCELLED");
    let history = shop.history().await;
    let mut said: Vec<_> = history.iter().map(|(kind, points)| (*kind as i32, *points)).collect();
    said.sort_unstable();
    let kinds = [Kind::Earn, Kind::Earn, Kind::Spend, Kind::Restore, Kind::Restore];
    let expected: Vec<_> =
        kinds.iter().map(|kind| *kind as i32).zip([100, 300, -350, 50, 300]).collect();
    assert_eq!(said, expected);
    assert_eq!(shop.told(Some(order)).await, ["MileageSpent", "MileageRestored"]);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn an_order_that_was_cancelled_first_spends_nothing() {
    let shop = Shop::open().await;
    shop.earned(100).await;
    let order = base::id::new();
    assert_eq!(shop.release(order).await, 0);
    let late = shop.spend(order, 10).await.expect_err("was cancelled first");
    assert_eq!(late.reason(), "ORDER_CANCELLED");
    assert_eq!(shop.own_balance().await, 100);
    assert_eq!(shop.told(Some(order)).await, [""; 0]);
    shop.stage.close().await;
}

#[tokio::test]
async fn a_cancelled_order_that_spent_no_points_leaves_no_row() {
    let shop = Shop::open().await;
    shop.earned(300).await;
    let [none, spent, old] = [(); 3].map(|()| base::id::new());
    shop.spend(spent, 200).await.expect("enough");
    shop.cancelled_with(none, Some(0)).await;
    shop.cancelled_with(spent, Some(200)).await;
    shop.eventually_has(300).await;
    // A version before does not say what the order has spent.
    shop.cancelled(old).await;
    let rows = || async {
        let mut reader = shop.database.read().await.expect("reads");
        let sql = "select order_id from mileage_spend order by order_id";
        let rows = reader.query(sql, &[]).await.expect("lists");
        let rows: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        (rows.last() == Some(&old)).then_some(rows)
    };
    assert_eq!(eventually("a row of the last", rows).await, [spent, old]);
    shop.stage.close().await;
}

#[tokio::test]
async fn points_expire_a_year_after_they_were_earned_the_oldest_first() {
    let shop = Shop::open().await;
    shop.earned(100).await;
    shop.later(340 * DAY).await;
    shop.earned(50).await;
    let mileage = shop.mileage().await;
    assert_eq!((mileage.balance, mileage.expiring_soon.expect("is there").points), (150, 100));
    let order = base::id::new();
    shop.spend(order, 60).await.expect("enough");
    assert_eq!(shop.mileage().await.expiring_soon.expect("is there").points, 40);
    shop.later(26 * DAY).await;
    shop.eventually_has(50).await;
    assert_eq!(shop.history().await.last(), Some(&(Kind::Expire, -40)));
    // What comes back after its time expires at once.
    shop.release(order).await;
    assert_eq!(shop.own_balance().await, 50);
    let history = shop.history().await;
    assert_eq!(history[history.len() - 2..], [(Kind::Restore, 60), (Kind::Expire, -60)]);
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_due_is_not_spent_even_if_nobody_has_met_it_yet() {
    let env = [("HANSANG__SERVICE__MILEAGE__EXPIRE_AFTER_S", "60")];
    let shop = Shop::open_with(&env).await.expect("starts");
    shop.earned(100).await;
    let mut expired = 0;
    shop.later(Duration::from_mins(1)).await;
    if let Err(refused) = shop.spend(base::id::new(), 100).await {
        assert_eq!(refused.reason(), "INSUFFICIENT_POINTS");
        expired += 1;
    }
    assert_eq!(expired, 1);
    shop.eventually_has(0).await;
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn what_is_taken_back_after_it_was_spent_is_owed() {
    let shop = Shop::open().await;
    let payment = shop.earned(100).await;
    let order = base::id::new();
    shop.spend(order, 80).await.expect("enough");
    shop.publish(&[(payment, Fact::Cancelled)]).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, -80);
    let short = shop.spend(base::id::new(), 1).await.expect_err("is owed");
    assert_eq!(short.reason(), "INSUFFICIENT_POINTS");
    shop.earned(100).await;
    assert_eq!(shop.own_balance().await, 20);
    assert_eq!(
        shop.spend(base::id::new(), 21).await.expect_err("too many").reason(),
        "INSUFFICIENT_POINTS"
    );
    shop.spend(base::id::new(), 20).await.expect("enough");
    shop.release(order).await;
    assert_eq!(shop.own_balance().await, 80);
    let entry = shop.entry(payment).await.expect("one of the payment");
    assert_eq!((entry.points, entry.kind()), (100, Kind::Earn));
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn more_lots_than_are_read_at_once_are_spent() {
    let shop = Shop::open().await;
    let payments: Vec<_> = (0..450).map(|_| (Payment::of(100), Fact::Approved)).collect();
    shop.publish(&payments).await;
    shop.settle().await;
    let order = base::id::new();
    shop.spend(order, 450).await.expect("all of them");
    assert_eq!(shop.own_balance().await, 0);
    shop.publish(&[(payments[449].0, Fact::Cancelled)]).await;
    shop.settle().await;
    assert_eq!(shop.own_balance().await, -1);
    shop.release(order).await;
    assert_eq!(shop.own_balance().await, 449);
    // Nor does one event tell of all of them.
    assert_eq!(
        shop.told(Some(order)).await,
        ["MileageSpent", "MileageRestored", "MileageRestored"]
    );
    shop.assert_books_balance().await;
    shop.stage.close().await;
}

#[tokio::test]
async fn only_order_spends() {
    let shop = Shop::open().await;
    shop.earned(100).await;
    for (caller, kind) in [
        (As::Member(shop.member), Code::PermissionDenied),
        (As::Admin(base::id::new()), Code::PermissionDenied),
        (As::Service("order"), Code::PermissionDenied),
        (As::ServiceFor("payment", shop.member), Code::PermissionDenied),
        (As::ServiceFor("order", base::id::new()), Code::NotFound),
    ] {
        let refused = shop.spend_as(caller, base::id::new(), 1).await.expect_err("refused");
        assert_eq!(tonic::Status::from(refused).code(), kind, "{caller:?}");
    }
    for points in [0, -1, 1_000_000_000_001] {
        let refused = shop.spend(base::id::new(), points).await.expect_err("out of range");
        assert_eq!(refused.reason(), "INVALID_FIELD");
    }
    shop.stage.close().await;
}
