//! The rules of stock, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use super::*;

fn shelf<const N: usize>(stocks: [(ProductId, i64); N]) -> Shelf {
    stocks.into_iter().map(|(product, units)| (product, Units(units))).collect()
}

fn line(product: ProductId, quantity: i32) -> Line {
    Line { product, quantity: Quantity(quantity) }
}

fn new() -> Allocation {
    Allocation { state: State::New, lines: Vec::new() }
}

#[test]
fn an_order_gets_all_its_lines_or_none() {
    let (one, two) = (ProductId(base::id::new()), ProductId(base::id::new()));
    let mut shelf = shelf([(one, 5), (two, 1)]);
    let mut allocation = new();
    let outcome = allocation.paid(vec![line(one, 5), line(two, 2)], &mut shelf);
    assert_eq!(outcome, Outcome::Short { missing: vec![line(two, 2)] });
    assert_eq!(shelf.values().map(|units| units.0).collect::<Vec<_>>(), [5, 1]);
}

#[test]
fn a_cancelled_order_gives_back_what_it_took_once() {
    let product = ProductId(base::id::new());
    let mut shelf = shelf([(product, 10)]);
    let mut allocation = new();
    allocation.paid(vec![line(product, 10)], &mut shelf);
    assert_eq!(shelf[&product], Units(0));
    assert_eq!(allocation.cancelled(&mut shelf), Outcome::Restored(vec![line(product, 10)]));
    assert_eq!(allocation.cancelled(&mut shelf), Outcome::Quiet);
    assert_eq!(shelf[&product], Units(10));
}

#[test]
fn an_order_cancelled_first_takes_nothing_later() {
    let product = ProductId(base::id::new());
    let mut shelf = shelf([(product, 10)]);
    let mut allocation = new();
    assert_eq!(allocation.cancelled(&mut shelf), Outcome::Quiet);
    assert_eq!(allocation.paid(vec![line(product, 1)], &mut shelf), Outcome::Quiet);
    assert_eq!(shelf[&product], Units(10));
}

#[test]
fn a_line_that_comes_twice_takes_no_more_than_there_is() {
    let product = ProductId(base::id::new());
    let mut shelf = shelf([(product, 3)]);
    let twice = vec![line(product, 2), line(product, 2)];
    let outcome = new().paid(twice.clone(), &mut shelf);
    assert_eq!(outcome, Outcome::Short { missing: vec![line(product, 2)] });
    assert_eq!(shelf[&product], Units(3));
    assert_eq!(merge(twice).expect("few"), [line(product, 4)]);
    let most = line(product, *QUANTITY.end());
    assert!(merge(vec![most, line(product, 1)]).is_err());
    assert!(merge(vec![most, line(product, i32::MAX)]).is_err());
}

#[test]
fn what_was_taken_fits_back_in_whatever_was_restocked_meanwhile() {
    let product = ProductId(base::id::new());
    let most = Quantity(*QUANTITY.end());
    let mut shelf = shelf([(product, *STOCK.end())]);
    let mut taken = Vec::new();
    for _ in 0..3 {
        let mut allocation = new();
        let lines = vec![Line { product, quantity: most }];
        assert!(matches!(allocation.paid(lines, &mut shelf), Outcome::Decreased(_)));
        taken.push(allocation);
        shelf.entry(product).and_modify(|stock| *stock = stock.restock(most).expect("fits"));
    }
    for allocation in &mut taken {
        assert!(matches!(allocation.cancelled(&mut shelf), Outcome::Restored(_)));
    }
    assert_eq!(shelf[&product], Units(4_000_000_000));
}

#[test]
fn pieces_that_are_taken_back_are_not_given_back_again() {
    let (milk, rice) = (ProductId(base::id::new()), ProductId(base::id::new()));
    let (mut shelf, mut allocation) = (shelf([(milk, 10), (rice, 10)]), new());
    allocation.paid(vec![line(milk, 3), line(rice, 2)], &mut shelf);
    let back = allocation.taken_back(&[line(milk, 1), line(rice, 2)], &mut shelf);
    assert_eq!(back, Outcome::TakenBack(vec![line(milk, 1), line(rice, 2)]));
    assert_eq!(allocation.taken_back(&[line(rice, 1)], &mut shelf), Outcome::Quiet);
    assert_eq!((shelf[&milk], shelf[&rice]), (Units(8), Units(10)));
    assert_eq!(allocation.cancelled(&mut shelf), Outcome::Restored(vec![line(milk, 2)]));
    assert_eq!((shelf[&milk], shelf[&rice]), (Units(10), Units(10)));
}

#[test]
fn nobody_puts_more_on_sale_than_the_limit() {
    let restock = |stock, quantity| Units(stock).restock(Quantity(quantity));
    assert_eq!(restock(999_999_990, 10), Ok(Units(1_000_000_000)));
    assert_eq!(restock(999_999_990, 11), Err(Refusal::TooMany { fits: 10 }));
    for stock in [1_000_000_000, 4_000_000_000, i64::MAX] {
        assert_eq!(restock(stock, i32::MAX), Err(Refusal::TooMany { fits: 0 }));
    }
    let refusal = Refusal::TooMany { fits: 1_000 }.to_string();
    assert_eq!(refusal, "the stock would pass 1,000,000,000 units: at most 1,000 more fit");
}

/// What can happen to one of several orders.
type Step = (usize, fn(&mut Allocation, i32, &mut Shelf) -> Outcome);

const PRODUCT: ProductId = ProductId(uuid::Uuid::nil());

fn steps() -> Vec<Step> {
    let paid: fn(&mut Allocation, i32, &mut Shelf) -> Outcome =
        |allocation, wanted, shelf| allocation.paid(vec![line(PRODUCT, wanted)], shelf);
    let back: fn(&mut Allocation, i32, &mut Shelf) -> Outcome =
        |allocation, _, shelf| allocation.taken_back(&[line(PRODUCT, 1)], shelf);
    (0..3).flat_map(|n| [(n, paid), (n, back), (n, |a, _, shelf| a.cancelled(shelf))]).collect()
}

/// Goes through every history of `left` more steps.
fn every_history(
    orders: &[(i32, Allocation)],
    shelf: &Shelf,
    left: u32,
    check: &mut impl FnMut(&[(i32, Allocation)], &Shelf),
) {
    check(orders, shelf);
    if left == 0 {
        return;
    }
    for (n, step) in steps() {
        let (mut orders, mut shelf) = (orders.to_vec(), shelf.clone());
        let (wanted, allocation) = &mut orders[n];
        let before = allocation.state;
        let outcome = step(allocation, *wanted, &mut shelf);
        let said = told(before, allocation.state).is_some();
        assert_eq!(outcome != Outcome::Quiet, said || matches!(outcome, Outcome::TakenBack(_)));
        every_history(&orders, &shelf, left - 1, check);
    }
}

/// Whether others are told of this change.
fn told(before: State, after: State) -> Option<State> {
    (before != after && after != State::Refused).then_some(after)
}

#[test]
fn whatever_happens_the_stock_is_what_nobody_holds() {
    let mut histories = 0;
    let orders = [(2, new()), (3, new()), (4, new())];
    every_history(&orders, &shelf([(PRODUCT, 5)]), 5, &mut |orders, shelf| {
        histories += 1;
        let held = |(_, a): &(i32, Allocation)| match a.state {
            State::Decreased => a.lines.iter().map(|line| line.quantity.get()).sum(),
            State::New | State::Short | State::Restored | State::Refused => 0,
        };
        let held: i32 = orders.iter().map(held).sum();
        assert_eq!(shelf[&PRODUCT], Units((5 - held).into()));
        assert!(held <= 5);
    });
    assert!(histories > 50_000);
}
