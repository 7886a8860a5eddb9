//! The rules of the stock: an order gets all its lines or none, and gives back
//! exactly what it took. No clock, no network, no SQL.

use std::collections::BTreeMap;

use kit::{Refuse, error::Kind};

kit::id!(
    /// Identifies a product.
    ProductId
);
kit::id!(
    /// Identifies an order; of the order context.
    OrderId
);
kit::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// A number of units, 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i32);

impl Quantity {
    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i32> for Quantity {
    type Error = Refusal;

    fn try_from(units: i32) -> Result<Self, Refusal> {
        if units < 1 { Err(Refusal::NoQuantity) } else { Ok(Self(units)) }
    }
}

/// Units of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product: ProductId,
    pub(crate) quantity: Quantity,
}

/// What became of an order's wish for goods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Decreased,
    Short,
    Restored,
    /// Cancelled before it was paid: whatever comes later is refused.
    Refused,
}

/// What one order took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Allocation {
    pub(crate) state: State,
    pub(crate) lines: Vec<Line>,
}

/// What a decision changed, to be told to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Decreased(Vec<Line>),
    Short {
        missing: Vec<Line>,
    },
    Restored(Vec<Line>),
    /// Nothing that others would want to know.
    Quiet,
}

/// Units on hand, by product; the rows that a decision may touch.
pub(crate) type Shelf = BTreeMap<ProductId, i32>;

impl Allocation {
    /// The order is paid: take its lines, all or none.
    pub(crate) fn paid(&mut self, lines: Vec<Line>, shelf: &mut Shelf) -> Outcome {
        match self.state {
            State::New => {}
            State::Decreased | State::Short | State::Restored | State::Refused => {
                return Outcome::Quiet;
            }
        }
        let missing = missing(&lines, shelf);
        if !missing.is_empty() {
            self.state = State::Short;
            return Outcome::Short { missing };
        }
        for line in &lines {
            shelf.entry(line.product).and_modify(|stock| *stock -= line.quantity.get());
        }
        self.state = State::Decreased;
        self.lines.clone_from(&lines);
        Outcome::Decreased(lines)
    }

    /// The order is cancelled: give back what it took.
    pub(crate) fn cancelled(&mut self, shelf: &mut Shelf) -> Outcome {
        match self.state {
            State::New => {
                self.state = State::Refused;
                Outcome::Quiet
            }
            State::Decreased => {
                for line in &self.lines {
                    shelf.entry(line.product).and_modify(|stock| *stock += line.quantity.get());
                }
                self.state = State::Restored;
                Outcome::Restored(self.lines.clone())
            }
            State::Short | State::Restored | State::Refused => Outcome::Quiet,
        }
    }
}

/// What the shelf lacks of the lines; a product that is not on it is missing whole.
fn missing(lines: &[Line], shelf: &Shelf) -> Vec<Line> {
    let lacking = |line: &&Line| shelf.get(&line.product).is_none_or(|s| *s < line.quantity.get());
    lines.iter().filter(lacking).copied().collect()
}

/// What product says no with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("must be 1 or more")]
    NoQuantity,
    #[error("there would be more units than can be counted")]
    TooMany,
    #[error("there is too little in stock")]
    OutOfStock,
    #[error("the order was cancelled")]
    OrderCancelled,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NoQuantity | Self::TooMany => Kind::Invalid,
            Self::OutOfStock | Self::OrderCancelled => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoQuantity => "NO_QUANTITY",
            Self::TooMany => "TOO_MANY",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::OrderCancelled => "ORDER_CANCELLED",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::NoQuantity | Self::TooMany => Some("quantity".into()),
            Self::OutOfStock | Self::OrderCancelled => None,
        }
    }
}

impl State {
    /// Whether the order has its goods; if not, why not.
    pub(crate) fn has_goods(self) -> Result<(), Refusal> {
        match self {
            Self::Decreased => Ok(()),
            Self::Short => Err(Refusal::OutOfStock),
            Self::New | Self::Restored | Self::Refused => Err(Refusal::OrderCancelled),
        }
    }
}

/// Adds units to a stock.
pub(crate) fn restock(stock: i32, quantity: Quantity) -> Result<i32, Refusal> {
    stock.checked_add(quantity.get()).ok_or(Refusal::TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(product: ProductId, quantity: i32) -> Line {
        Line { product, quantity: Quantity(quantity) }
    }

    fn new() -> Allocation {
        Allocation { state: State::New, lines: Vec::new() }
    }

    #[test]
    fn an_order_gets_all_its_lines_or_none() {
        let (one, two) = (ProductId(kit::id::new()), ProductId(kit::id::new()));
        let mut shelf = Shelf::from([(one, 5), (two, 1)]);
        let mut allocation = new();
        let outcome = allocation.paid(vec![line(one, 5), line(two, 2)], &mut shelf);
        assert_eq!(outcome, Outcome::Short { missing: vec![line(two, 2)] });
        assert_eq!(shelf, Shelf::from([(one, 5), (two, 1)]));
    }

    #[test]
    fn a_cancelled_order_gives_back_what_it_took_once() {
        let product = ProductId(kit::id::new());
        let mut shelf = Shelf::from([(product, 10)]);
        let mut allocation = new();
        allocation.paid(vec![line(product, 10)], &mut shelf);
        assert_eq!(shelf[&product], 0);
        assert_eq!(allocation.cancelled(&mut shelf), Outcome::Restored(vec![line(product, 10)]));
        assert_eq!(allocation.cancelled(&mut shelf), Outcome::Quiet);
        assert_eq!(shelf[&product], 10);
    }

    #[test]
    fn an_order_cancelled_first_takes_nothing_later() {
        let product = ProductId(kit::id::new());
        let mut shelf = Shelf::from([(product, 10)]);
        let mut allocation = new();
        assert_eq!(allocation.cancelled(&mut shelf), Outcome::Quiet);
        assert_eq!(allocation.paid(vec![line(product, 1)], &mut shelf), Outcome::Quiet);
        assert_eq!(shelf[&product], 10);
    }

    /// What can happen to one of several orders.
    type Step = (usize, fn(&mut Allocation, i32, &mut Shelf) -> Outcome);

    const PRODUCT: ProductId = ProductId(uuid::Uuid::nil());

    fn steps() -> Vec<Step> {
        let paid: fn(&mut Allocation, i32, &mut Shelf) -> Outcome =
            |allocation, wanted, shelf| allocation.paid(vec![line(PRODUCT, wanted)], shelf);
        (0..3).flat_map(|n| [(n, paid), (n, |a, _, shelf| a.cancelled(shelf))]).collect()
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
            assert_eq!(outcome == Outcome::Quiet, told(before, allocation.state).is_none());
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
        every_history(&orders, &Shelf::from([(PRODUCT, 5)]), 6, &mut |orders, shelf| {
            histories += 1;
            let held = |(wanted, a): &(i32, Allocation)| match a.state {
                State::Decreased => *wanted,
                State::New | State::Short | State::Restored | State::Refused => 0,
            };
            let held: i32 = orders.iter().map(held).sum();
            assert_eq!(shelf[&PRODUCT], 5 - held);
            assert!(held <= 5);
        });
        assert!(histories > 50_000);
    }
}
