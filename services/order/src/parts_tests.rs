//! What is taken back of an order, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use base::Money;

use super::*;
use crate::domain::{
    CloseReason, Fact, Facts, MemberId, OrderId, ProductId, Wish,
    checkout::{Checkout, Won},
};

fn line(quantity: i32, price: Won) -> Line {
    Line {
        product: ProductId(base::id::new()),
        display_name: "밀키트".into(),
        quantity,
        unit_price: Money::krw(price),
    }
}

fn paid(method: Method, lines: Vec<Line>, checkout: Checkout) -> Order {
    let total = lines.iter().map(Line::cost).sum();
    Order {
        id: OrderId(base::id::new()),
        member: MemberId(base::id::new()),
        method,
        lines,
        total: Money::krw(total),
        checkout,
        payment: None,
        facts: Facts { paid: true, ..Facts::default() },
        wish: Wish::default(),
        told: State::Paid,
        parts: Parts::default(),
    }
}

/// Two lines: three pieces, and one.
fn order() -> Order {
    paid(Method::Card, vec![line(3, 1_000), line(1, 500)], Checkout::default())
}

fn part() -> PartId {
    PartId(base::id::new())
}

fn pieces(line: usize, quantity: i32) -> Vec<Pieces> {
    vec![Pieces { line, quantity }]
}

fn arrived(mut order: Order) -> Order {
    for fact in [Fact::StockDecreased, Fact::DeliveryStarted, Fact::Dispatched, Fact::Delivered] {
        order.learn(fact);
    }
    order.parts.arrived = Some(SystemTime::UNIX_EPOCH);
    order
}

const IN_TIME: SystemTime = SystemTime::UNIX_EPOCH;

#[test]
fn what_is_left_goes_on_and_nothing_is_cancelled_twice() {
    let mut order = order();
    let two = pieces(0, 2);
    assert_eq!(order.begin_cancel_lines(part(), &two, false), Ok(Begun::Part(1)));
    assert_eq!(order.part_done(Kind::Cancellation, &two), []);
    assert_eq!(order.kept().collect::<Vec<_>>(), [(0, 1), (1, 1)]);
    let refused = order.begin_cancel_lines(part(), &two, false);
    assert_eq!(refused, Err(Refusal::LinesTaken { left: 1 }));
    assert_eq!(order.state(), State::Paid);
}

#[test]
fn cancelling_all_that_is_left_is_cancelling_the_order() {
    let mut order = order();
    let all = [pieces(0, 3), pieces(1, 1)].concat();
    let before = order.clone();
    assert_eq!(order.begin_cancel_lines(part(), &all, false), Ok(Begun::Everything));
    assert_eq!(order.parts, before.parts);
}

#[test]
fn while_payment_is_asked_nothing_else_is_taken_back_and_nobody_is_told_of_milestones() {
    let (mut order, one) = (order(), pieces(0, 1));
    order.begin_cancel_lines(part(), &one, false).expect("there are three");
    assert_eq!(order.begin_cancel_lines(part(), &one, false), Err(Refusal::PartUnderWay));
    assert_eq!(order.begin_cancel(Wish::default()), Err(Refusal::PartUnderWay));
    assert_eq!(order.record_dispatch(), Err(Refusal::Cancelling));
    assert_eq!(order.learn(Fact::StockDecreased), []);
    assert_eq!(order.part_undone(Kind::Cancellation, &one), [State::Prepared]);
    assert_eq!(order.kept().collect::<Vec<_>>(), [(0, 3), (1, 1)]);
}

#[test]
fn an_order_that_is_lost_meanwhile_says_so_once_payment_has_answered() {
    let (mut order, one) = (order(), pieces(0, 1));
    order.begin_cancel_lines(part(), &one, false).expect("there are three");
    assert_eq!(order.learn(Fact::StockShort), []);
    let cancelled = order.part_done(Kind::Cancellation, &one);
    assert!(matches!(cancelled[..], [State::Cancelled(_)]));
}

#[test]
fn a_member_cancels_lines_until_the_dispatch_and_the_shop_until_the_order_is_closed() {
    let one = pieces(0, 1);
    let mut order = order();
    for fact in [Fact::StockDecreased, Fact::DeliveryStarted, Fact::Dispatched] {
        order.learn(fact);
    }
    assert_eq!(order.begin_cancel_lines(part(), &one, false), Err(Refusal::Dispatched));
    assert_eq!(order.begin_cancel_lines(part(), &one, true), Ok(Begun::Part(1)));
    order.part_done(Kind::Cancellation, &one);
    order.confirm_receipt().expect("it is on its way");
    assert_eq!(order.begin_cancel_lines(part(), &one, true), Err(Refusal::Closed));
}

#[test]
fn of_a_transfer_the_member_cancels_lines_until_the_deposit_is_confirmed() {
    let one = pieces(0, 1);
    let mut order = Order { method: Method::BankTransfer, facts: Facts::default(), ..order() };
    assert_eq!(order.begin_cancel_lines(part(), &one, false), Err(Refusal::PaymentPending));
    order.learn(Fact::DepositRequested(base::id::new()));
    assert_eq!(order.begin_cancel_lines(part(), &one, false), Ok(Begun::Part(1)));
    order.part_done(Kind::Cancellation, &one);
    order.learn(Fact::Paid(base::id::new()));
    assert_eq!(order.begin_cancel_lines(part(), &one, false), Err(Refusal::DepositConfirmed));
    assert_eq!(order.begin_cancel_lines(part(), &one, true), Ok(Begun::Part(1)));
}

#[test]
fn a_return_is_asked_for_within_seven_days_of_the_arrival() {
    let one = pieces(0, 1);
    assert_eq!(order().request_return(&one, IN_TIME), Err(Refusal::NotDelivered));
    let mut order = arrived(order());
    let late = IN_TIME + RETURN_WITHIN;
    assert_eq!(order.request_return(&one, late), Err(Refusal::ReturnPeriodOver));
    assert_eq!(order.request_return(&one, late - Duration::from_secs(1)), Ok(()));
}

#[test]
fn while_a_return_is_open_the_order_does_not_close_by_itself_and_its_member_may_close_it() {
    let (mut order, one) = (arrived(order()), pieces(1, 1));
    order.request_return(&one, IN_TIME).expect("in time");
    assert_eq!(order.close_by_itself(CloseReason::DaysAfterDelivery), None);
    assert_eq!(order.confirm_receipt(), Ok(vec![State::Closed]));
    let id = part();
    assert_eq!(order.begin_return(id), Ok(1));
    assert_eq!(order.part_done(Kind::Return, &one), []);
    assert_eq!(order.state(), State::Closed);
}

#[test]
fn what_was_rejected_may_be_asked_for_again() {
    let (mut order, one) = (arrived(order()), pieces(1, 1));
    order.request_return(&one, IN_TIME).expect("in time");
    let again = order.request_return(&one, IN_TIME);
    assert_eq!(again, Err(Refusal::LinesTaken { left: 0 }));
    order.reject_return(&one);
    assert_eq!(order.request_return(&one, IN_TIME), Ok(()));
    assert_eq!(order.close_by_itself(CloseReason::DaysAfterDelivery), None);
    order.reject_return(&one);
    let closed = order.close_by_itself(CloseReason::DaysAfterDelivery);
    assert_eq!(closed, Some(vec![State::Closed]));
}

#[test]
fn what_may_be_done_is_what_is_not_refused() {
    use Action::{Cancel, CancelLines, ConfirmReceipt, PayDeposit, RequestReturn};
    let after = IN_TIME + RETURN_WITHIN;
    assert_eq!(order().actions(IN_TIME), [Cancel, CancelLines]);
    let transfer = Order { method: Method::BankTransfer, ..order() };
    assert_eq!(transfer.actions(IN_TIME), []);
    let facts = Facts { deposit_requested: true, ..Facts::default() };
    let waiting = Order { facts, ..transfer };
    assert_eq!(waiting.actions(IN_TIME), [Cancel, CancelLines, PayDeposit]);
    assert_eq!(arrived(order()).actions(IN_TIME), [ConfirmReceipt, RequestReturn]);
    assert_eq!(arrived(order()).actions(after), [ConfirmReceipt]);
    let mut closed = arrived(order());
    closed.confirm_receipt().expect("it has arrived");
    assert_eq!(closed.actions(IN_TIME), [RequestReturn]);
    let all = [pieces(0, 3), pieces(1, 1)].concat();
    closed.request_return(&all, IN_TIME).expect("in time");
    assert_eq!(closed.actions(IN_TIME), []);
}

/// A generator of its own, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: i64) -> i64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn pieces(&mut self, order: &Order) -> Vec<Pieces> {
        let line = usize::try_from(self.roll(3)).expect("small");
        let quantity = i32::try_from(1 + self.roll(3)).expect("small");
        pieces(line % order.lines.len(), quantity)
    }
}

/// An order with random lines and shares.
fn random(dice: &mut Dice) -> Order {
    let lines: Vec<Line> = (0..=dice.roll(3))
        .map(|_| line(i32::try_from(1 + dice.roll(5)).expect("small"), dice.roll(2_000)))
        .collect();
    let goods: Won = lines.iter().map(Line::cost).sum();
    let discount = dice.roll(goods + 1);
    let points = dice.roll(goods - discount + 1);
    let wallet = dice.roll(goods - discount - points + 1);
    let checkout = Checkout { points, wallet, ..Checkout::default() };
    let checkout = checkout.with_discount(Money::krw(discount), &lines).expect("it fits");
    paid(Method::Card, lines, checkout)
}

/// One thing that may happen to an order; what goes back by it.
fn step(dice: &mut Dice, order: &mut Order, open: &mut Vec<(PartId, Vec<Pieces>)>) -> Bears {
    let (wanted, id) = (dice.pieces(order), part());
    let back = |order: &Order, pieces: &[Pieces]| {
        order.bear(pieces).into_iter().fold(Bears::default(), Bears::plus)
    };
    match dice.roll(6) {
        0 | 1 => {
            let Ok(Begun::Part(_)) = order.begin_cancel_lines(id, &wanted, true) else {
                return Bears::default();
            };
            if dice.roll(3) == 0 {
                order.part_undone(Kind::Cancellation, &wanted);
                return Bears::default();
            }
            let back = back(order, &wanted);
            order.part_done(Kind::Cancellation, &wanted);
            back
        }
        2 => {
            *order = arrived(order.clone());
            Bears::default()
        }
        3 => {
            if order.request_return(&wanted, IN_TIME).is_ok() {
                open.push((id, wanted));
            }
            Bears::default()
        }
        4 if !open.is_empty() => {
            let (id, asked) = open.swap_remove(0);
            order.begin_return(id).expect("nothing is under way");
            if dice.roll(3) == 0 {
                // Payment has refused: it is asked for as before.
                order.part_undone(Kind::Return, &asked);
                open.push((id, asked));
                return Bears::default();
            }
            let back = back(order, &asked);
            order.part_done(Kind::Return, &asked);
            back
        }
        5 if !open.is_empty() => {
            let (_, asked) = open.swap_remove(0);
            order.reject_return(&asked);
            Bears::default()
        }
        _ => Bears::default(),
    }
}

#[test]
fn whatever_is_taken_back_in_whatever_order_what_was_paid_is_what_goes_back_and_what_is_kept() {
    for seed in 0..5_000 {
        let mut dice = Dice(seed);
        let mut order = random(&mut dice);
        let (mut back, mut open) = (Bears::default(), Vec::new());
        for _ in 0..20 {
            back = back.plus(step(&mut dice, &mut order, &mut open));
            for (line, taken) in order.taken() {
                let gone = taken.cancelled + taken.returned + taken.open;
                assert!(gone <= line.quantity && taken.open >= 0, "seed {seed}: {taken:?}");
            }
        }
        // What is kept goes back too, line by line.
        let kept: Vec<Pieces> =
            order.kept().map(|(line, quantity)| Pieces { line, quantity }).collect();
        let all = order.bear(&kept).into_iter().fold(back, Bears::plus);
        let Checkout { discount, points, wallet, .. } = order.checkout;
        let payable = order.checkout.payable(order.total).minor();
        assert_eq!(all, Bears { coupon: discount, points, wallet, payable }, "seed {seed}");
    }
}
