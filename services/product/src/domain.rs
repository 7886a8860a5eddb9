//! The rules of the stock: an order gets all its lines or none, and gives back
//! exactly what it took. No clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "goods that overflow are goods that are lost")]

mod picture;

use std::{collections::BTreeMap, ops::RangeInclusive};

use base::{
    Money, Refuse,
    error::Kind,
    input::{self, Text},
};

pub(crate) use self::picture::Picture;

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
/// What products are searched for.
pub(crate) const QUERY: Text = Text::new(0, 100);
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

/// What somebody changed of a product, to be told to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Registered,
    /// What is said of it, its price, or whether it may be ordered.
    Updated,
    Restocked(Quantity),
    /// Its stock was corrected.
    Adjusted {
        delta: i32,
        reason: String,
        actor: MemberId,
    },
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
    /// Some of it went back.
    TakenBack(Vec<Line>),
    /// What was left of it went back.
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

    /// Pieces of the order are taken back: give them back of what it took. Before it took anything there is
    /// nothing to give back, and what it takes later is without them.
    pub(crate) fn taken_back(&mut self, pieces: &[Line], shelf: &mut Shelf) -> Outcome {
        if self.state != State::Decreased {
            return Outcome::Quiet;
        }
        let mut back = Vec::new();
        for piece in pieces {
            let Some(held) = self.lines.iter_mut().find(|line| line.product == piece.product)
            else {
                continue;
            };
            let units = held.quantity.0.min(piece.quantity.0);
            held.quantity = Quantity(held.quantity.0.saturating_sub(units));
            if units > 0 {
                let quantity = Quantity(units);
                shelf.entry(piece.product).and_modify(|stock| *stock = stock.give_back(quantity));
                back.push(Line { product: piece.product, quantity });
            }
        }
        self.lines.retain(|line| line.quantity.0 > 0);
        if back.is_empty() { Outcome::Quiet } else { Outcome::TakenBack(back) }
    }

    /// The order is cancelled: give back what it took, and still holds.
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
#[path = "domain_tests.rs"]
mod tests;
