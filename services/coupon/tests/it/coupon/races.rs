//! One coupon, and many who want it at once: orders, the end of its time, the end of its member's
//! membership. Hundreds of rounds side by side, each with a member of its own, and each who could win has
//! won some.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use base::id::Uuid;
use contracts::coupon::v1::coupon::State;
use testkit::until;
use tokio::task::{JoinSet, yield_now};

use super::{Shop, checkout::DAY};

const ROUNDS: usize = 240;
/// Rounds under way at once.
const LANES: usize = 12;
/// Orders that want one coupon; in every so many rounds a hundred do.
const ORDERS: usize = 8;
const CROWD: (usize, usize) = (40, 100);

/// Who has won how often.
type Wins = BTreeMap<&'static str, usize>;

/// A member of each round, and the welcome coupon.
async fn members(shop: &Shop) -> Vec<(Uuid, String)> {
    let members: Vec<Uuid> = (0..ROUNDS).map(|_| base::id::new()).collect();
    shop.sign_up(&members).await;
    shop.settle().await;
    let mut held = Vec::new();
    for member in members {
        held.push((member, shop.coupon(member).await.id));
    }
    held
}

/// Plays a round with each member, some at a time; answers who has won how often.
async fn play<F>(
    shop: &Arc<Shop>,
    round: impl Fn(Arc<Shop>, usize, Uuid, String) -> F + Copy + Send + 'static,
) -> Wins
where
    F: Future<Output = &'static str> + Send + 'static,
{
    let members = members(shop).await;
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let some = members.iter().cloned().enumerate().skip(lane).step_by(LANES);
        let (some, shop): (Vec<_>, _) = (some.collect(), Arc::clone(shop));
        lanes.spawn(async move {
            let mut won = Vec::new();
            for (number, (member, coupon)) in some {
                won.push(round(Arc::clone(&shop), number, member, coupon).await);
            }
            won
        });
    }
    let mut wins = Wins::new();
    for winner in lanes.join_all().await.into_iter().flatten() {
        *wins.entry(winner).or_default() += 1;
    }
    wins
}

/// One of several at once: it is another one's turn to be first in each round.
async fn in_turn<T>(round: usize, place: usize, of: usize, run: impl Future<Output = T>) -> T {
    for _ in 0..(round + place) % of * 4 {
        yield_now().await;
    }
    run.await
}

#[tokio::test]
async fn of_many_orders_at_once_one_has_the_coupon() {
    let shop = Arc::new(Shop::open().await);
    let wins = play(&shop, |shop, round, member, coupon| async move {
        one_of_many(shop, round, member, coupon).await
    });
    let wins = wins.await;
    for winner in ["the first", "another", "nobody"] {
        assert!(wins.contains_key(winner), "{winner} has never won: {wins:?}");
    }
    shop.assert_redeemed_once().await;
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

async fn one_of_many(shop: Arc<Shop>, round: usize, member: Uuid, coupon: String) -> &'static str {
    let many = if round.is_multiple_of(CROWD.0) { CROWD.1 } else { ORDERS };
    let orders: Vec<Uuid> = (0..many).map(|_| base::id::new()).collect();
    // In some rounds all are cancelled meanwhile, in the others one is.
    let gone = if round.is_multiple_of(4) { &orders[..] } else { &orders[..1] };
    let mut asking = JoinSet::new();
    for order in orders.iter().copied() {
        let (shop, coupon) = (Arc::clone(&shop), coupon.clone());
        asking.spawn(async move { (order, shop.redeem(member, order, &coupon, 10_000).await) });
    }
    let mut cancelling = JoinSet::new();
    for order in gone.iter().copied() {
        let shop = Arc::clone(&shop);
        cancelling.spawn(async move { shop.release(member, order).await });
    }
    let answers = asking.join_all().await;
    cancelling.join_all().await;
    let won = answers.iter().filter(|it| matches!(it.1, Ok(3_000))).map(|it| it.0);
    let kept: Vec<Uuid> = won.filter(|order| !gone.contains(order)).collect();
    assert!(kept.len() <= 1, "round {round}: {answers:?}");
    for (_, answer) in &answers {
        if let Err(refused) = answer {
            let reasons = ["COUPON_REDEEMED", "ORDER_CANCELLED"];
            assert!(reasons.contains(&refused.reason()), "round {round}: {refused}");
        }
    }
    let now = shop.coupon(member).await;
    let Some(order) = kept.first() else {
        assert_eq!(now.state(), State::Issued, "round {round}");
        return "nobody";
    };
    assert_eq!((now.state(), &now.order_id), (State::Redeemed, &order.to_string()));
    if *order == orders[1] { "the first" } else { "another" }
}

#[tokio::test]
async fn redeeming_races_withdrawals_and_cancellations() {
    let shop = Arc::new(Shop::open().await);
    let wins = play(&shop, |shop, round, member, coupon| async move {
        let order = base::id::new();
        let (redeemed, _, _) = tokio::join!(
            in_turn(round, 0, 3, shop.redeem(member, order, &coupon, 10_000)),
            in_turn(round, 1, 3, shop.withdraw(member)),
            in_turn(round, 2, 3, shop.release(member, order)),
        );
        shop.release(member, order).await;
        // Whatever came first: who has withdrawn holds none.
        assert_eq!(shop.states(member).await, [State::Cancelled], "round {round}");
        let Err(refused) = redeemed else { return "order" };
        match refused.reason() {
            "COUPON_CANCELLED" => "withdrawal",
            "ORDER_CANCELLED" => "cancellation",
            other => panic!("round {round}: {other}"),
        }
    });
    let wins = wins.await;
    for winner in ["order", "withdrawal", "cancellation"] {
        assert!(wins.contains_key(winner), "{winner} has never won: {wins:?}");
    }
    shop.assert_redeemed_once().await;
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

/// The time of all coupons is over while orders redeem them and give them back.
#[tokio::test]
async fn redeeming_races_expiry_and_one_of_them_has_each_coupon() {
    let shop = Arc::new(Shop::open().await);
    let wins = play(&shop, |shop, round, member, coupon| async move {
        if round == ROUNDS / 2 {
            shop.later(91 * DAY).await;
        }
        let order = base::id::new();
        let redeemed = shop.redeem(member, order, &coupon, 10_000).await;
        let back = redeemed.is_ok() && round.is_multiple_of(3);
        if back {
            let state = shop.release(member, order).await;
            let known = [Some(State::Issued), Some(State::Expired)];
            assert!(known.contains(&state), "round {round}: {state:?}");
        }
        // The round that lets the time pass may be some rounds behind.
        let over =
            async || round < ROUNDS / 2 || shop.coupon(member).await.state() != State::Issued;
        until("a coupon that is used, or over", over).await;
        let state = shop.coupon(member).await.state();
        match redeemed {
            Ok(_) if back => "given back",
            Ok(_) => {
                assert_eq!(state, State::Redeemed, "round {round}");
                "order"
            }
            Err(refused) => {
                assert_eq!(refused.reason(), "COUPON_EXPIRED", "round {round}");
                "expiry"
            }
        }
    });
    let wins = wins.await;
    for winner in ["order", "expiry", "given back"] {
        assert!(wins.contains_key(winner), "{winner} has never won: {wins:?}");
    }
    shop.assert_redeemed_once().await;
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}
