//! Everybody wants the same pieces at once: whoever is first has them. Hundreds of rounds side by side, and
//! each who could win has won some.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use contracts::order::v1::{
    ConfirmReceiptRequest, ListOrderReturnsRequest, Order, Return, order::State, r#return,
};
use testkit::{eventually, stage::As};
use tokio::task::{JoinSet, yield_now};

use super::{Answer, Shop, parts::refunded};

const ROUNDS: usize = 240;
/// Rounds under way at once.
const LANES: usize = 12;

/// On a busy machine nothing is left in doubt: the races are about who is first.
fn patient(settings: &mut settings::Settings) {
    settings.deadline.peer_ms = 20_000;
}

/// Who has won how often.
type Wins = BTreeMap<&'static str, usize>;

/// One of several at once: it is another one's turn to be first in each round.
async fn in_turn<T>(round: usize, place: usize, of: usize, run: impl Future<Output = T>) -> T {
    for _ in 0..(round + place) % of * 4 {
        yield_now().await;
    }
    run.await
}

/// Plays all rounds, some at a time; answers who has won how often.
async fn play<F>(shop: &Arc<Shop>, round: fn(Arc<Shop>, usize) -> F) -> Wins
where
    F: Future<Output = Vec<&'static str>> + Send + 'static,
{
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let shop = Arc::clone(shop);
        lanes.spawn(async move {
            let mut won = Vec::new();
            for number in (lane..ROUNDS).step_by(LANES) {
                won.extend(round(Arc::clone(&shop), number).await);
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

fn each_has_won(wins: &Wins, of: &[&str]) {
    for winner in of {
        assert!(wins.contains_key(winner), "{winner} has never won: {wins:?}");
    }
}

/// Before the goods are with a carrier, and after they have arrived.
#[tokio::test]
async fn cancellation_dispatch_and_return_race_and_no_piece_goes_twice() {
    let shop = Arc::new(Shop::open_with(patient).await);
    let wins = play(&shop, |shop, round| async move { Box::pin(pieces(&shop, round)).await }).await;
    let all = ["three", "two", "dispatch", "member", "first", "second", "accepted", "rejected"];
    each_has_won(&wins, &all);
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

async fn pieces(shop: &Shop, round: usize) -> Vec<&'static str> {
    let order = shop.on_its_way(&[Answer::Cancelled]).await;
    let (three, two, dispatch, whole) = tokio::join!(
        in_turn(round, 0, 4, shop.cancel_lines(&order, 3)),
        in_turn(round, 1, 4, shop.cancel_lines(&order, 2)),
        in_turn(round, 2, 4, shop.record_dispatch(&order)),
        in_turn(round, 3, 4, shop.cancel(&order)),
    );
    let cancelled = i32::from(three.is_ok()) * 3 + i32::from(two.is_ok()) * 2;
    let back: i64 = refunded(&order).iter().sum();
    assert_eq!(back, i64::from(cancelled) * 1_000, "round {round}");
    assert!(cancelled <= 4, "round {round}");
    let mut won = Vec::new();
    won.extend(three.is_ok().then_some("three"));
    won.extend(two.is_ok().then_some("two"));
    won.extend(dispatch.is_ok().then_some("dispatch"));
    if whole.is_ok() {
        assert_eq!(shop.state(&order).await, State::Cancelled, "round {round}");
        won.push("member");
        return won;
    }
    assert_eq!(shop.counts(&order).await, [4, cancelled, 0], "round {round}");
    if dispatch.is_err() {
        shop.record_dispatch(&order).await.expect("nothing is under way");
    }
    shop.arrives(&order).await;
    shop.eventually(&order, State::Delivered).await;
    let left = 4 - cancelled;
    let (first, second) = tokio::join!(
        in_turn(round, 0, 2, shop.request_return(&order, left)),
        in_turn(round, 1, 2, shop.request_return(&order, left)),
    );
    let wanted = first.as_ref().or(second.as_ref()).expect("one of them");
    assert!(first.is_err() || second.is_err(), "round {round}");
    won.push(if first.is_ok() { "first" } else { "second" });
    let (accepted, rejected) = tokio::join!(
        in_turn(round, 0, 2, shop.accept(wanted)),
        in_turn(round, 1, 2, shop.reject(wanted)),
    );
    assert!(accepted.is_ok() != rejected.is_ok(), "round {round}: {accepted:?} {rejected:?}");
    won.push(if accepted.is_ok() { "accepted" } else { "rejected" });
    let returned = if accepted.is_ok() { left } else { 0 };
    assert_eq!(shop.counts(&order).await, [4, cancelled, returned], "round {round}");
    won
}

/// The time for returns is over while they are asked for, and the order closes by itself, unless a return is
/// open, the member has closed it, or the shop has cancelled it.
#[tokio::test]
async fn returns_receipts_the_shop_and_closing_by_itself_race_and_one_has_the_order() {
    let shop = Arc::new(Shop::open_with(patient).await);
    let (arrived, orders) = (prepared(&shop).await, ROUNDS);
    assert_eq!(arrived.len(), orders);
    let mut lanes = JoinSet::new();
    for lane in 0..LANES {
        let shop = Arc::clone(&shop);
        let some = arrived.iter().cloned().enumerate().skip(lane).step_by(LANES);
        let some: Vec<_> = some.collect();
        lanes.spawn(async move {
            let mut answers = Vec::new();
            for (round, order) in some {
                if round == orders / 3 {
                    shop.days_pass(8).await;
                }
                let answer = ends(&shop, round, &order).await;
                answers.push((order, answer));
            }
            answers
        });
    }
    let mut wins = Wins::new();
    for (order, answer) in lanes.join_all().await.into_iter().flatten() {
        let settled = || async {
            let state = shop.state(&order).await;
            (state != State::Delivered || answer.wanted.is_some()).then_some(state)
        };
        let state = eventually("an order that has ended", settled).await;
        *wins.entry(judge(&shop, &order, &answer, state).await).or_default() += 1;
    }
    each_has_won(&wins, &["shop", "member", "by itself", "return"]);
    Arc::into_inner(shop).expect("all are done").stage.close().await;
}

/// Orders whose goods have arrived.
async fn prepared(shop: &Arc<Shop>) -> Vec<Order> {
    let mut placing = JoinSet::new();
    for _ in 0..LANES {
        let shop = Arc::clone(shop);
        placing.spawn(async move {
            let mut orders = Vec::new();
            for _ in 0..ROUNDS / LANES {
                let order = shop.place(&[Answer::Cancelled]).await;
                shop.deliver(&order).await;
                shop.arrives(&order).await;
                orders.push(order);
            }
            for order in &orders {
                shop.eventually(order, State::Delivered).await;
            }
            orders
        });
    }
    placing.join_all().await.into_iter().flatten().collect()
}

/// What those were answered who wanted an order to end.
struct Ends {
    wanted: Option<Return>,
    by_shop: bool,
    by_member: bool,
}

/// Some of those who may end an order do so.
async fn ends(shop: &Shop, round: usize, order: &Order) -> Ends {
    let asks = |who: usize| round / 3 % 4 != who;
    let (wanted, by_shop, by_member) = tokio::join!(
        in_turn(round, 0, 3, async {
            if asks(0) { shop.request_return(order, 2).await.ok() } else { None }
        }),
        in_turn(round, 1, 3, async {
            asks(1) && round.is_multiple_of(2) && shop.shop_cancels(order).await
        }),
        in_turn(round, 2, 3, async {
            asks(2) && round.is_multiple_of(3) && shop.receives(order).await
        }),
    );
    Ends { wanted, by_shop, by_member }
}

/// Who has an order in the end: it is as it was answered.
async fn judge(shop: &Shop, order: &Order, answer: &Ends, state: State) -> &'static str {
    let states = shop.returns_of(order).await;
    assert_eq!(states.len(), usize::from(answer.wanted.is_some()), "{order:?}");
    if answer.by_shop {
        assert_eq!(state, State::Cancelled);
        assert!(states.iter().all(|state| *state == r#return::State::Cancelled), "{states:?}");
        return "shop";
    }
    assert!(states.iter().all(|state| *state == r#return::State::Requested), "{states:?}");
    if answer.by_member {
        assert_eq!(state, State::Closed);
        return "member";
    }
    if answer.wanted.is_some() {
        assert_eq!(state, State::Delivered, "it waits for its return");
        return "return";
    }
    assert_eq!(state, State::Closed);
    "by itself"
}

impl Shop {
    async fn shop_cancels(&self, order: &Order) -> bool {
        let request = contracts::order::v1::CancelOrderRequest {
            order_id: order.id.clone(),
            ..Default::default()
        };
        let request = self.stage.command(As::Seller(base::id::new()), request);
        self.orders.clone().cancel_order(request).await.is_ok()
    }

    async fn receives(&self, order: &Order) -> bool {
        let request = ConfirmReceiptRequest { order_id: order.id.clone() };
        let request = self.stage.call(As::Member(self.member), request);
        self.orders.clone().confirm_receipt(request).await.is_ok()
    }

    async fn returns_of(&self, order: &Order) -> Vec<r#return::State> {
        let request = ListOrderReturnsRequest { order_id: order.id.clone() };
        let request = self.stage.call(As::Member(self.member), request);
        let listed = self.returns().list_order_returns(request).await.expect("lists");
        listed.into_inner().returns.iter().map(Return::state).collect()
    }
}
