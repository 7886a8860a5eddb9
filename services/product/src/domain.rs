//! The rules of the stock: an order gets all its lines or none, and gives back
//! exactly what it took. No clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "goods that overflow are goods that are lost")]

use std::{collections::BTreeMap, ops::RangeInclusive};

use base::{
    Money, Refuse,
    error::Kind,
    input::{self, Text},
};

base::id!(
    /// Identifies a product.
    ProductId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// What a product may be called.
pub(crate) const DISPLAY_NAME: Text = Text::new(1, 200);
/// What may be said of a product.
pub(crate) const DESCRIPTION: Text = Text::new(0, 2_000).lines();
/// Why a stock is corrected.
pub(crate) const REASON: Text = Text::new(1, 200);
/// How far a stock is corrected at once.
pub(crate) const DELTA: RangeInclusive<i32> = -1_000_000_000..=1_000_000_000;
/// What a unit may cost, in won.
pub(crate) const PRICE: RangeInclusive<i64> = 0..=1_000_000_000;
/// How many units a seller may put on sale. What cancelled orders give back comes on top.
pub(crate) const STOCK: RangeInclusive<i64> = 0..=1_000_000_000;
/// How many units may be asked for at once.
pub(crate) const QUANTITY: RangeInclusive<i32> = 1..=1_000_000_000;
/// How many lines an order may have.
pub(crate) const LINES: RangeInclusive<usize> = 1..=100;

/// What something is sold as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DisplayName(String);

impl DisplayName {
    pub(crate) fn parse(text: &str) -> Result<Self, base::Error> {
        DISPLAY_NAME.parse("displayName", text).map(|name| Self(name.to_owned()))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Whether a product may be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sale {
    OnSale,
    OffSale,
}

pg::names!(Sale, constraint product_state: OnSale = "ON_SALE", OffSale = "OFF_SALE");

/// Reads a price from a `google.type.Money`'s parts.
pub(crate) fn price(parts: Option<(&str, i64, i32)>) -> Result<Money, base::Error> {
    Money::parse_within("price", parts, &PRICE)
}

/// Units on hand. What an order took always fits back in: it was counted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Units(i64);

impl Units {
    /// Reads a first stock.
    pub(crate) fn parse(field: &str, units: i32) -> Result<Self, base::Error> {
        input::number(field, i64::from(units), &STOCK).map(Self)
    }

    /// Units as they are stored.
    pub(crate) const fn stored(units: i64) -> Self {
        Self(units)
    }

    pub(crate) const fn get(self) -> i64 {
        self.0
    }

    /// Puts more on sale.
    pub(crate) fn restock(self, quantity: Quantity) -> Result<Self, Refusal> {
        let sum = self.0.checked_add(quantity.0.into()).filter(|sum| STOCK.contains(sum));
        let fits = STOCK.end().saturating_sub(self.0).max(0);
        sum.map(Self).ok_or(Refusal::TooMany { fits })
    }

    /// Corrects it after a count.
    pub(crate) fn adjust(self, delta: i32) -> Result<Self, Refusal> {
        let sum = self.0.checked_add(delta.into()).ok_or(Refusal::StockFull)?;
        if sum < 0 {
            return Err(Refusal::InsufficientStock);
        }
        // What cancelled orders gave back may be more already.
        if delta > 0 && !STOCK.contains(&sum) {
            return Err(Refusal::StockFull);
        }
        Ok(Self(sum))
    }

    /// Takes what an order wants, if there is enough.
    fn take(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_sub(quantity.0.into()).filter(|rest| *rest >= 0).map(Self)
    }

    /// Puts back what an order took.
    fn give_back(self, quantity: Quantity) -> Self {
        // Nine thousand million restocks of the largest size would be needed to saturate.
        Self(self.0.saturating_add(quantity.0.into()))
    }
}

/// A number of units, 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity(i32);

impl Quantity {
    /// Reads what somebody asks for; `field` is its path.
    pub(crate) fn parse(field: &str, units: i32) -> Result<Self, base::Error> {
        input::number(field, units, &QUANTITY).map(Self)
    }

    pub(crate) fn get(self) -> i32 {
        self.0
    }
}

/// What was stored or told before there was a limit stays as it is.
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

pg::names!(State, constraint allocation_state:
    New = "NEW", Decreased = "DECREASED", Short = "SHORT", Restored = "RESTORED",
    Refused = "REFUSED");

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
pub(crate) type Shelf = BTreeMap<ProductId, Units>;

/// The lines with those of one product merged, each product where it came first.
pub(crate) fn merge(lines: Vec<Line>) -> Result<Vec<Line>, base::Error> {
    let mut merged: Vec<Line> = Vec::new();
    for line in lines {
        match merged.iter_mut().find(|known| known.product == line.product) {
            Some(known) => {
                let sum = known.quantity.0.saturating_add(line.quantity.0);
                known.quantity = Quantity::parse("lines", sum)?;
            }
            None => merged.push(line),
        }
    }
    Ok(merged)
}

impl Allocation {
    /// The order is paid: take its lines, all or none.
    pub(crate) fn paid(&mut self, lines: Vec<Line>, shelf: &mut Shelf) -> Outcome {
        match self.state {
            State::New => {}
            State::Decreased | State::Short | State::Restored | State::Refused => {
                return Outcome::Quiet;
            }
        }
        let (left, missing) = without(&lines, shelf);
        if !missing.is_empty() {
            self.state = State::Short;
            return Outcome::Short { missing };
        }
        shelf.extend(left);
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
                    shelf
                        .entry(line.product)
                        .and_modify(|stock| *stock = stock.give_back(line.quantity));
                }
                self.state = State::Restored;
                Outcome::Restored(self.lines.clone())
            }
            State::Short | State::Restored | State::Refused => Outcome::Quiet,
        }
    }
}

/// What is left of the products once the lines are taken, and the lines that the shelf lacks; a
/// product that is not on it is missing whole.
fn without(lines: &[Line], shelf: &Shelf) -> (Shelf, Vec<Line>) {
    let (mut left, mut missing) = (Shelf::new(), Vec::new());
    for line in lines {
        let stock = left.get(&line.product).or_else(|| shelf.get(&line.product));
        match stock.and_then(|stock| stock.take(line.quantity)) {
            Some(rest) => drop(left.insert(line.product, rest)),
            None => missing.push(*line),
        }
    }
    (left, missing)
}

/// What product says no with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("must be 1 or more")]
    NoQuantity,
    #[error(
        "the stock would pass {} units: at most {} more fit",
        input::grouped(STOCK.end()), input::grouped(fits)
    )]
    TooMany {
        /// Units that still fit.
        fits: i64,
    },
    #[error("there is too little in stock")]
    OutOfStock,
    #[error("the stock would be below 0")]
    InsufficientStock,
    #[error("the stock would pass {} units", input::grouped(STOCK.end()))]
    StockFull,
    #[error("the order was cancelled")]
    OrderCancelled,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NoQuantity | Self::TooMany { .. } => Kind::Invalid,
            Self::OutOfStock | Self::InsufficientStock | Self::StockFull | Self::OrderCancelled => {
                Kind::Conflict
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoQuantity => "NO_QUANTITY",
            Self::TooMany { .. } => "TOO_MANY",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::StockFull => "STOCK_FULL",
            Self::OrderCancelled => "ORDER_CANCELLED",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::NoQuantity | Self::TooMany { .. } => Some("quantity".into()),
            Self::OutOfStock | Self::InsufficientStock | Self::StockFull | Self::OrderCancelled => {
                None
            }
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

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]
mod tests {
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
        every_history(&orders, &shelf([(PRODUCT, 5)]), 6, &mut |orders, shelf| {
            histories += 1;
            let held = |(wanted, a): &(i32, Allocation)| match a.state {
                State::Decreased => *wanted,
                State::New | State::Short | State::Restored | State::Refused => 0,
            };
            let held: i32 = orders.iter().map(held).sum();
            assert_eq!(shelf[&PRODUCT], Units((5 - held).into()));
            assert!(held <= 5);
        });
        assert!(histories > 50_000);
    }
}
