//! One balance, and many who want it at once: orders that spend and give back, payments that earn and are
//! taken back, the end of the points' time. Hundreds of rounds side by side, each with a member of its own,
//! and each who could win has won some.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use base::{Error, id::Uuid};
use contracts::mileage::v1::{
    EarnRequest, GetMileageRequest, ReleasePointsRequest, SpendPointsRequest,
};
use testkit::{eventually, stage::As};
use tokio::task::{JoinSet, yield_now};

use super::{Fact, Payment, Shop, checkout::DAY};

const ROUNDS: usize = 240;
/// Rounds under way at once.
const LANES: usize = 12;
/// Orders that want one balance; in every so many rounds 64 do.
const ORDERS: usize = 8;
const CROWD: (usize, usize) = (24, 64);

/// A member of a round.
#[derive(Clone)]
struct Holder {
    shop: Arc<Shop>,
    member: Uuid,
    round: usize,
}

impl Holder {
    async fn spend(&self, order: Uuid, points: i64) -> Result<(), Error> {
        let (order_id, member_id) = (order.to_string(), self.member.to_string());
        let request = SpendPointsRequest { order_id, member_id, points };
        let request = self.shop.stage.call(As::ServiceFor("order", self.member), request);
        let spent = self.shop.mileage.clone().spend_points(request).await;
        spent.map(drop).map_err(Error::from)
    }

    async fn release(&self, order: Uuid) {
        let (order_id, member_id) = (order.to_string(), self.member.to_string());
        let request = ReleasePointsRequest { order_id, member_id };
        let request = self.shop.stage.call(As::ServiceFor("order", self.member), request);
        self.shop.mileage.clone().release_points(request).await.expect("releases");
    }

    async fn earn(&self, payment: Payment) {
        let request =
            EarnRequest { member_id: self.member.to_string(), ..self.shop.request(payment) };
        self.shop.call_earn(As::ServiceFor("payment", self.member), request).await.expect("earns");
    }

    async fn balance(&self) -> i64 {
        let request = GetMileageRequest { member_id: self.member.to_string() };
        let request = self.shop.stage.call(As::Member(self.member), request);
        let mileage = self.shop.mileage.clone().get_mileage(request).await;
        mileage.expect("the owner may").into_inner().balance
    }

    async fn eventually_has(&self, balance: i64) {
        let ask = || async { (self.balance().await == balance).then_some(()) };
        eventually(&format!("round {}: a balance of {balance}", self.round), ask).await;
    }

    /// One of several at once: it is another one's turn to be first in each round, and they come forwards
    /// and backwards.
    async fn in_turn<T>(&self, place: usize, of: usize, run: impl Future<Output = T>) -> T {
        let backwards = !(self.round / of).is_multiple_of(2);
        let place = if backwards { of - 1 - place } else { place };
        for _ in 0..(self.round + place) % of * 4 {
            yield_now().await;
        }
        run.await
    }
}

/// Plays all rounds, some at a time; each who is named has won some.
async fn play<F>(winners: &[&str], round: impl Fn(Holder) -> F + Copy + Send + 'static)
where
    F: Future<Output = &'static str> + Send + 'static,
{
    let shop = Arc::new(Shop::open().await);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let shop = Arc::clone(&shop);
        lanes.spawn(async move {
            let mut won = Vec::new();
            for number in (lane..ROUNDS).step_by(LANES) {
                let (shop, member) = (Arc::clone(&shop), base::id::new());
                won.push(round(Holder { shop, member, round: number }).await);
            }
            won
        });
    }
    let mut wins: BTreeMap<&str, usize> = BTreeMap::new();
    for winner in lanes.join_all().await.into_iter().flatten() {
        *wins.entry(winner).or_default() += 1;
    }
    for winner in winners {
        assert!(wins.contains_key(winner), "{winner} has never won: {wins:?}");
    }
    shop.assert_books_balance().await;
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

#[tokio::test]
async fn of_many_orders_at_once_as_many_have_points_as_there_are() {
    play(&["the first", "others"], |holder| async move {
        holder.earn(Payment::of(10_000)).await;
        let many = if holder.round.is_multiple_of(CROWD.0) { CROWD.1 } else { ORDERS };
        let mut asking = JoinSet::new();
        for place in 0..many {
            let holder = holder.clone();
            asking.spawn(async move {
                let asked = holder.spend(base::id::new(), 40);
                (place, holder.in_turn(place, many, asked).await)
            });
        }
        let mut won = Vec::new();
        for (place, answer) in asking.join_all().await {
            match answer {
                Ok(()) => won.push(place),
                Err(refused) => assert_eq!(refused.reason(), "INSUFFICIENT_POINTS"),
            }
        }
        assert_eq!((won.len(), holder.balance().await), (2, 20), "round {}", holder.round);
        if won.contains(&0) { "the first" } else { "others" }
    })
    .await;
}

#[tokio::test]
async fn spending_races_earning_taking_back_and_releasing() {
    play(&["spent", "short", "released"], |holder| async move {
        let (kept, lost, order) = (Payment::of(5_000), Payment::of(5_000), base::id::new());
        holder.earn(lost).await;
        let facts = [(lost, Fact::Cancelled)];
        let (spent, (), (), ()) = tokio::join!(
            holder.in_turn(0, 3, holder.spend(order, 60)),
            holder.in_turn(1, 3, holder.earn(kept)),
            holder.shop.publish_of(holder.member, &facts),
            holder.in_turn(2, 3, holder.release(order)),
        );
        holder.release(order).await;
        // What was kept is there, whoever came first.
        holder.eventually_has(50).await;
        let Err(refused) = spent else { return "spent" };
        match refused.reason() {
            "INSUFFICIENT_POINTS" => "short",
            "ORDER_CANCELLED" => "released",
            other => panic!("round {}: {other}", holder.round),
        }
    })
    .await;
}

/// The time of all points is over while orders spend them and give them back.
#[tokio::test]
async fn spending_races_expiry_and_one_of_them_has_each_point() {
    play(&["order", "expiry", "given back"], |holder| async move {
        let (order, half) = (base::id::new(), ROUNDS / 2);
        let (old, new) = (100, if holder.round.is_multiple_of(2) { 30 } else { 0 });
        holder.earn(Payment::of(old * 100)).await;
        if holder.round == half {
            holder.shop.later(366 * DAY).await;
        }
        holder.earn(Payment::of(new * 100)).await;
        let spent = holder.spend(order, old).await;
        let back = spent.is_ok() && holder.round.is_multiple_of(3);
        if back {
            holder.release(order).await;
        }
        let balance = holder.balance().await;
        match (&spent, back) {
            (Ok(()), false) => {
                let known = [new, 0];
                assert!(known.contains(&balance), "round {}: {balance}", holder.round);
                "order"
            }
            (Ok(()), true) => {
                // As old as they were: what is over is not back.
                let known = [old + new, new, 0];
                assert!(known.contains(&balance), "round {}: {balance}", holder.round);
                "given back"
            }
            (Err(refused), _) => {
                assert_eq!(refused.reason(), "INSUFFICIENT_POINTS", "round {}", holder.round);
                // It is still shown until the task has met it.
                let over = || async { (holder.balance().await <= new).then_some(()) };
                eventually("what is due is over", over).await;
                "expiry"
            }
        }
    })
    .await;
}
