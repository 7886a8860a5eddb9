//! The life of an order, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use super::*;

fn order() -> Order {
    Order {
        id: OrderId(base::id::new()),
        member: MemberId(base::id::new()),
        method: Method::Wallet,
        lines: Vec::new(),
        total: Money::ZERO,
        checkout: Checkout::default(),
        payment: None,
        facts: Facts::default(),
        wish: Wish::default(),
        told: State::Placed,
        parts: Parts::default(),
    }
}

fn card() -> Order {
    let facts = Facts { pending: Some(Pending::Pending), ..Facts::default() };
    Order { method: Method::Card, facts, told: State::Pending, ..order() }
}

const GOOD: [Fact; 3] = [Fact::Paid(Uuid::nil()), Fact::StockDecreased, Fact::DeliveryStarted];

#[test]
fn facts_in_any_order_end_in_the_same_state_past_the_same_milestones() {
    for order_of in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut order = order();
        let mut passed = Vec::new();
        for index in order_of {
            passed.extend(order.learn(GOOD[index]));
            passed.extend(order.learn(GOOD[index]));
        }
        assert_eq!(passed, [State::Paid, State::Prepared, State::Delivering]);
    }
}

#[test]
fn while_it_is_being_cancelled_facts_are_kept_and_no_milestone_passes() {
    let mut order = order();
    assert_eq!(order.begin_cancel(Wish::default()), Ok(Some(1)));
    for fact in GOOD {
        assert_eq!(order.learn(fact), []);
    }
    assert_eq!(order.confirm_receipt(), Err(Refusal::Cancelling));
    assert_eq!(order.cancel_refused(), [State::Paid, State::Prepared, State::Delivering]);
}

#[test]
fn a_cancelled_order_stays_cancelled() {
    let mut order = order();
    order.begin_cancel(Wish::default()).expect("open");
    let cancelled = State::Cancelled(CancelReason::MemberRequest);
    assert_eq!(order.cancelled(&Wish::default()), [cancelled]);
    for fact in GOOD.into_iter().chain([Fact::StockShort]) {
        assert_eq!(order.learn(fact), []);
    }
    assert_eq!(order.state(), cancelled);
    assert_eq!(order.begin_cancel(Wish::default()), Ok(None));
}

#[test]
fn a_call_that_never_ran_leaves_the_order_as_it_was_unless_another_joined() {
    let mut alone = order();
    alone.begin_cancel(Wish::default()).expect("open");
    assert_eq!(alone.cancel_never_ran(1), (true, Vec::new()));
    assert_eq!(alone.state(), State::Placed);

    let mut joined = order();
    joined.begin_cancel(Wish::default()).expect("open");
    joined.begin_cancel(Wish::default()).expect("joins");
    assert_eq!(joined.cancel_never_ran(1), (false, Vec::new()));
    assert_eq!(joined.cancel_never_ran(2), (false, Vec::new()));
    assert_eq!(joined.state(), State::Cancelling);
}

#[test]
fn a_closed_order_cannot_be_cancelled() {
    let mut order = order();
    for fact in GOOD {
        order.learn(fact);
    }
    assert_eq!(order.confirm_receipt(), Ok(vec![State::Closed]));
    assert_eq!(order.confirm_receipt(), Ok(vec![]));
    assert_eq!(order.begin_cancel(Wish::default()), Err(Refusal::Closed));
    assert_eq!(order.learn(Fact::StockShort), []);
}

#[test]
fn a_card_order_is_placed_and_paid_at_once_whatever_was_heard_before() {
    for heard in [vec![], vec![Fact::Paid(Uuid::nil())]] {
        let mut order = card();
        assert_eq!(order.begin_place(), Ok(1));
        for fact in heard {
            assert_eq!(order.learn(fact), [], "nobody sees it yet");
        }
        assert_eq!(
            order.place(Checkout::default(), Some(Uuid::nil())),
            Ok(vec![State::Placed, State::Paid])
        );
        assert_eq!(order.place(Checkout::default(), Some(Uuid::nil())), Ok(vec![]));
    }
}

#[test]
fn a_card_order_that_was_given_up_is_never_placed() {
    let mut order = card();
    order.begin_place().expect("pending");
    order.begin_place().expect("joins");
    assert!(!order.places_alone(1));
    order.abort();
    assert_eq!(order.learn(Fact::Paid(Uuid::nil())), []);
    assert_eq!(order.place(Checkout::default(), Some(Uuid::nil())), Err(Refusal::NotPlaced));
    assert_eq!(order.state(), State::Aborting);
}

#[test]
fn a_bank_transfer_passes_the_deposit_even_when_it_hears_of_it_last() {
    let mut order = order();
    order.method = Method::BankTransfer;
    let mut passed = Vec::new();
    for fact in [Fact::StockDecreased, Fact::Paid(Uuid::nil()), Fact::DepositRequested(Uuid::nil())]
    {
        passed.extend(order.learn(fact));
    }
    assert_eq!(passed, [State::AwaitingDeposit, State::Paid, State::Prepared]);
}

fn on_its_way() -> Order {
    let mut order = order();
    for fact in GOOD {
        order.learn(fact);
    }
    order
}

#[test]
fn what_is_dispatched_only_the_shop_cancels() {
    let mut order = on_its_way();
    assert_eq!(order.record_dispatch(), Ok(vec![]));
    assert_eq!(order.record_dispatch(), Ok(vec![]));
    assert_eq!(order.begin_cancel(Wish::default()), Err(Refusal::Dispatched));
    assert_eq!(order.learn(Fact::Delivered), [State::Delivered]);
    assert_eq!(order.begin_cancel(Wish::default()), Err(Refusal::Dispatched));
    let by_shop = Some(ByShop { actor: Uuid::nil(), note: String::new() });
    assert_eq!(order.begin_cancel(Wish { by_shop, refund_account: None }), Ok(Some(1)));
}

#[test]
fn a_dispatch_and_a_cancellation_race_and_one_of_them_wins() {
    let mut order = on_its_way();
    order.begin_cancel(Wish::default()).expect("open");
    assert_eq!(order.record_dispatch(), Err(Refusal::Cancelling));
    let mut refused = order.clone();
    refused.cancel_refused();
    assert_eq!(refused.record_dispatch(), Ok(vec![]));
    order.cancelled(&Wish::default());
    assert_eq!(order.record_dispatch(), Err(Refusal::Cancelled));
    let mut closed = on_its_way();
    closed.confirm_receipt().expect("delivering");
    assert_eq!(closed.record_dispatch(), Err(Refusal::Closed));
}

#[test]
fn delivery_may_be_ahead_of_what_the_order_has_heard() {
    let mut order = order();
    assert_eq!(order.record_dispatch(), Err(Refusal::NotDelivering));
    order.learn(GOOD[0]);
    order.learn(GOOD[1]);
    assert_eq!(order.record_dispatch(), Ok(vec![]));
    assert_eq!(order.learn(Fact::Delivered), []);
    assert_eq!(order.learn(Fact::DeliveryStarted), [State::Delivering, State::Delivered]);
}

#[test]
fn an_order_closes_by_itself_by_the_clock_that_it_has_last() {
    use CloseReason::{DaysAfterDelivery, DaysAfterStart};
    let mut order = on_its_way();
    assert_eq!(order.clone().close_by_itself(DaysAfterStart), Some(vec![State::Closed]));
    assert_eq!(order.close_by_itself(DaysAfterDelivery), Some(vec![]));
    order.learn(Fact::Delivered);
    assert_eq!(order.close_by_itself(DaysAfterStart), Some(vec![]));
    order.begin_cancel(Wish::default()).expect("open");
    assert_eq!(order.close_by_itself(DaysAfterDelivery), None, "payment decides first");
    order.cancel_refused();
    assert_eq!(order.close_by_itself(DaysAfterDelivery), Some(vec![State::Closed]));
    assert_eq!(order.facts.closed, Some(DaysAfterDelivery));
    assert_eq!(order.confirm_receipt(), Ok(vec![]), "it is closed");
    assert_eq!(order.facts.closed, Some(DaysAfterDelivery));
}

/// What can happen to an order, in any order and any number of times.
#[derive(Clone, Copy, Debug)]
enum Step {
    Learn(Fact),
    Ask,
    Cancelled,
    Refused,
    NeverRan,
    Receive,
    Dispatch,
    Elapse(CloseReason),
}

const STEPS: [Step; 14] = [
    Step::Learn(GOOD[0]),
    Step::Learn(GOOD[1]),
    Step::Learn(GOOD[2]),
    Step::Learn(Fact::Delivered),
    Step::Dispatch,
    Step::Elapse(CloseReason::DaysAfterStart),
    Step::Elapse(CloseReason::DaysAfterDelivery),
    Step::Learn(Fact::StockShort),
    Step::Learn(Fact::PaymentLost(CancelReason::InsufficientBalance)),
    Step::Ask,
    Step::Cancelled,
    Step::Refused,
    Step::NeverRan,
    Step::Receive,
];

fn take(order: &mut Order, step: Step) -> Milestones {
    match step {
        Step::Learn(fact) => order.learn(fact),
        Step::Ask => order.begin_cancel(Wish::default()).map(|_| Vec::new()).unwrap_or_default(),
        // Payment answers only who has asked.
        Step::Cancelled if order.facts.cancel_attempts > 0 => order.cancelled(&Wish::default()),
        Step::Refused if order.facts.cancel_attempts > 0 => order.cancel_refused(),
        Step::NeverRan if order.facts.cancel_attempts > 0 => {
            order.cancel_never_ran(order.facts.cancel_attempts).1
        }
        Step::Cancelled | Step::Refused | Step::NeverRan => Vec::new(),
        Step::Receive => order.confirm_receipt().unwrap_or_default(),
        Step::Dispatch => order.record_dispatch().unwrap_or_default(),
        Step::Elapse(reason) => order.close_by_itself(reason).unwrap_or_default(),
    }
}

/// Goes through every history of `left` more steps.
fn every_history(
    order: &Order,
    passed: &[State],
    left: u32,
    check: &mut impl FnMut(&Order, &[State]),
) {
    check(order, passed);
    if left == 0 {
        return;
    }
    for step in STEPS {
        let mut next = order.clone();
        let mut passed = passed.to_vec();
        passed.extend(take(&mut next, step));
        every_history(&next, &passed, left - 1, check);
    }
}

#[test]
fn whatever_happens_milestones_pass_once_in_order_and_an_end_is_an_end() {
    let mut histories = 0;
    every_history(&order(), &[State::Placed], 5, &mut |order, passed| {
        histories += 1;
        assert!(passed.is_sorted_by(|a, b| a < b), "{passed:?}");
        assert_eq!(passed.last(), Some(&order.told));
        // CLOSED is an end, and so is CANCELLED: nothing comes after either.
        let ends = passed.iter().filter(|s| matches!(s, State::Closed | State::Cancelled(_)));
        assert!(ends.count() <= 1, "{passed:?}");
        if order.state() != State::Cancelling {
            assert_eq!(order.state(), order.told, "others know what is so");
        }
        if order.state() == State::Closed {
            assert!(order.facts.closed.is_some(), "somebody closed it");
        }
    });
    assert!(histories > 100_000);
}

#[test]
fn an_order_costs_no_more_than_an_order_may_cost() {
    let line = |quantity, won| Line {
        product: ProductId(base::id::new()),
        display_name: String::new(),
        quantity,
        unit_price: Money::krw(won),
    };
    let most = line(1_000, 1_000_000_000);
    assert_eq!(total(std::slice::from_ref(&most)).expect("fits"), Money::krw(*TOTAL.end()));
    // Prices may be older than their limit.
    for beyond in [vec![most, line(1, 1)], vec![line(i32::MAX, i64::MAX)]] {
        let refused = total(&beyond).expect_err("beyond").to_string();
        assert!(
            refused.ends_with("lines: must cost at most 1,000,000,000,000 won in all"),
            "{refused}"
        );
    }
    assert_eq!(more_of("lines[1].quantity", 1, 999_999_999).expect("fits"), *QUANTITY.end());
    assert!(more_of("lines[1].quantity", *QUANTITY.end(), i32::MAX).is_err());
}

#[test]
fn attempts_that_are_counted_for_ever_do_not_wrap() {
    let mut order = order();
    order.facts.cancel_attempts = i32::MAX;
    assert_eq!(order.begin_cancel(Wish::default()), Ok(Some(i32::MAX)));
    assert_eq!(order.join_cancel(), Some(i32::MAX));
}
