//! What a payment earns, and that it is taken back once, in parts or all of it: no clock, no network, no SQL.
//! What is left of it is in [`account`].

#![warn(clippy::arithmetic_side_effects, reason = "points that wrap are points out of nowhere")]

use std::ops::RangeInclusive;

use base::{Error, Money, Refuse, error::Kind, input};
use serde::Deserialize;

pub(crate) mod account;

base::id!(
    /// Identifies an entry.
    EntryId
);
base::id!(
    /// Identifies a payment; of the payment context.
    PaymentId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a part of an order: a cancellation of some lines, or a return; of the order context.
    PartId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// Points; never fewer than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Points(i64);

impl Points {
    /// Points as they are stored.
    pub(crate) const fn stored(points: i64) -> Self {
        Self(points)
    }

    pub(crate) const fn get(self) -> i64 {
        self.0
    }
}

/// What may be paid in one go, in won, when payment asks.
const AMOUNT: RangeInclusive<i64> = 0..=1_000_000_000_000;

/// What was paid: not below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paid(Money);

impl Paid {
    /// Reads what somebody says was paid, as [`told`](Self::told) does, and no more than may be.
    pub(crate) fn parse(field: &str, parts: Option<(&str, i64, i32)>) -> Result<Self, Error> {
        Money::parse_within(field, parts, &AMOUNT).map(Self)
    }

    /// Reads what an event tells was paid from a `google.type.Money`'s parts; `field` is its path.
    pub(crate) fn told(field: &str, parts: Option<(&str, i64, i32)>) -> Result<Self, Error> {
        let amount = Money::parse(field, parts)?;
        input::number(&format!("{field}.units"), amount.minor(), &(0..=i64::MAX))?;
        Ok(Self(amount))
    }
}

/// Points per won paid, in basis points: 100 is 1%.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Rate(u32);

impl Rate {
    /// A point for each won; no payment can earn more than points can count.
    const MOST: u32 = 10_000;

    pub(crate) const fn basis_points(self) -> u32 {
        self.0
    }

    /// A rate as it is stored.
    pub(crate) const fn stored(basis_points: u32) -> Self {
        Self(basis_points)
    }

    /// The points of a payment: `floor(paid × rate)`.
    pub(crate) fn points(self, paid: Paid) -> Points {
        let points = i128::from(paid.0.minor())
            .checked_mul(i128::from(self.0))
            .and_then(|points| points.checked_div(i128::from(Self::MOST)))
            .and_then(|points| i64::try_from(points).ok());
        Points(points.expect("no more than what was paid"))
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u32> for Rate {
    type Error = String;

    fn try_from(basis_points: u32) -> Result<Self, String> {
        if basis_points > Self::MOST {
            return Err(format!("must be at most {}", Self::MOST));
        }
        Ok(Self(basis_points))
    }
}

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Earned,
    Cancelled,
    /// The payment was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(State, constraint mileage_entry_state:
    New = "NEW", Earned = "EARNED", Cancelled = "CANCELLED", Refused = "REFUSED");

/// What happened to the payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Approved(Paid),
    /// Some of it went back; this is what is left.
    Reduced(Paid),
    Cancelled,
}

/// The points of one payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: EntryId,
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    /// What it earned.
    pub(crate) points: Points,
    /// How many fewer it is worth since some of the payment went back.
    pub(crate) taken_back: Points,
    /// The rate that it was earned at; none where nobody noted it.
    pub(crate) rate: Option<Rate>,
    pub(crate) state: State,
}

/// What a fact changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Earned,
    /// It is worth so much less.
    Reduced(Points),
    Cancelled,
    /// From now on nothing is earned; nothing that others would want to know.
    Refused,
    /// Known already, or too late.
    Unchanged,
}

impl Entry {
    /// What it is worth: what was earned of what is left of the payment.
    pub(crate) fn worth(&self) -> Points {
        Points(self.points.0.saturating_sub(self.taken_back.0))
    }

    /// Takes in what happened to the payment; what it earns now it earns at this rate.
    pub(crate) fn learn(&mut self, fact: Fact, rate: Rate) -> Outcome {
        let (state, outcome) = match (self.state, fact) {
            // Whoever says what is left of a payment says that it was approved.
            (State::New, Fact::Approved(paid) | Fact::Reduced(paid)) => {
                (self.points, self.rate) = (rate.points(paid), Some(rate));
                (State::Earned, Outcome::Earned)
            }
            (State::Earned, Fact::Reduced(left)) => {
                let left = self.rate.unwrap_or(rate).points(left);
                let less = self.worth().0.saturating_sub(left.0);
                // In whatever order they come: the least is the last.
                let outcome = if less > 0 {
                    self.taken_back = Points(self.taken_back.0.saturating_add(less));
                    Outcome::Reduced(Points(less))
                } else {
                    Outcome::Unchanged
                };
                (State::Earned, outcome)
            }
            (State::New, Fact::Cancelled) => (State::Refused, Outcome::Refused),
            (State::Earned, Fact::Cancelled) => (State::Cancelled, Outcome::Cancelled),
            (State::Earned, Fact::Approved(_)) | (State::Cancelled | State::Refused, _) => {
                (self.state, Outcome::Unchanged)
            }
        };
        self.state = state;
        outcome
    }

    /// Whether there is anything to show: a tombstone earns nothing, and never will.
    pub(crate) fn earned(&self) -> Result<(), Refusal> {
        match self.state {
            State::Earned | State::Cancelled => Ok(()),
            State::New | State::Refused => Err(Refusal::PaymentCancelled),
        }
    }
}

/// What mileage says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the payment was cancelled before it earned anything")]
    PaymentCancelled,
    #[error("the balance is smaller")]
    InsufficientPoints,
    #[error("the order has spent another number of points")]
    OtherPoints,
    #[error("the order was cancelled before it spent points")]
    OrderCancelled,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::PaymentCancelled | Self::InsufficientPoints | Self::OrderCancelled => {
                Kind::Conflict
            }
            Self::OtherPoints => Kind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::PaymentCancelled => "PAYMENT_CANCELLED",
            Self::InsufficientPoints => "INSUFFICIENT_POINTS",
            Self::OtherPoints => "INVALID_FIELD",
            Self::OrderCancelled => "ORDER_CANCELLED",
        }
    }

    fn field(&self) -> Option<String> {
        matches!(self, Self::OtherPoints).then(|| "points".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            id: EntryId(base::id::new()),
            payment: PaymentId(base::id::new()),
            order: OrderId(base::id::new()),
            member: MemberId(base::id::new()),
            points: Points(0),
            taken_back: Points(0),
            rate: None,
            state: State::New,
        }
    }

    const RATE: Rate = Rate(10_000);

    fn paid(won: i64) -> Paid {
        Paid::told("amount", Some(("KRW", won, 0))).expect("not negative")
    }

    #[test]
    fn a_hundredth_of_what_was_paid_is_earned_rounded_down() {
        for (won, points) in
            [(0, 0), (99, 0), (100, 1), (199, 1), (10_000, 100), (i64::MAX, i64::MAX / 100)]
        {
            assert_eq!(Rate::default().points(paid(won)), Points(points), "{won}");
        }
        assert!(Paid::told("amount", Some(("KRW", -1, 0))).is_err());
        assert!(Paid::parse("amount", Some(("KRW", 1_000_000_000_001, 0))).is_err());
    }

    #[test]
    fn no_rate_earns_more_than_was_paid() {
        let most = Rate::try_from(10_000).expect("allowed");
        assert_eq!(most.points(paid(i64::MAX)), Points(i64::MAX));
        assert!(Rate::try_from(10_001).is_err());
        assert_eq!(Rate::try_from(0).expect("allowed").points(paid(1_000_000)), Points(0));
    }

    #[test]
    fn a_payment_earns_once_and_is_taken_back_once() {
        let mut entry = entry();
        assert_eq!(entry.learn(Fact::Approved(paid(10)), RATE), Outcome::Earned);
        // The rate may have changed in between.
        assert_eq!(entry.learn(Fact::Approved(paid(10)), Rate(20)), Outcome::Unchanged);
        assert_eq!(entry.learn(Fact::Cancelled, RATE), Outcome::Cancelled);
        assert_eq!(entry.learn(Fact::Cancelled, RATE), Outcome::Unchanged);
        assert_eq!((entry.points, entry.state), (Points(10), State::Cancelled));
        assert_eq!(entry.earned(), Ok(()));
    }

    #[test]
    fn a_payment_cancelled_first_never_earns() {
        let mut entry = entry();
        assert_eq!(entry.learn(Fact::Cancelled, RATE), Outcome::Refused);
        assert_eq!(entry.learn(Fact::Approved(paid(10)), RATE), Outcome::Unchanged);
        assert_eq!(entry.learn(Fact::Reduced(paid(5)), RATE), Outcome::Unchanged);
        assert_eq!((entry.points, entry.state), (Points(0), State::Refused));
        assert_eq!(entry.earned(), Err(Refusal::PaymentCancelled));
    }

    #[test]
    fn what_is_left_of_a_payment_is_worth_what_it_would_have_earned() {
        let mut entry = entry();
        assert_eq!(entry.learn(Fact::Approved(paid(1_099)), Rate(100)), Outcome::Earned);
        // By the rate of its day: 9.
        let reduced = entry.learn(Fact::Reduced(paid(999)), Rate(10_000));
        assert_eq!(reduced, Outcome::Reduced(Points(1)));
        assert_eq!(entry.learn(Fact::Reduced(paid(901)), Rate(100)), Outcome::Unchanged);
        assert_eq!(entry.learn(Fact::Reduced(paid(0)), Rate(0)), Outcome::Reduced(Points(9)));
        assert_eq!((entry.points, entry.worth()), (Points(10), Points(0)));
    }

    #[test]
    fn in_whatever_order_the_parts_of_a_payment_come_the_least_counts() {
        let facts = [
            Fact::Approved(paid(10)),
            Fact::Reduced(paid(8)),
            Fact::Reduced(paid(3)),
            Fact::Reduced(paid(3)),
        ];
        // Each number to the base of 4 is an order of facts, doubles included.
        for history in 0..4_usize.pow(6) {
            let (mut entry, mut least) = (entry(), 10);
            for at in 0..6 {
                let fact = facts[history / 4_usize.pow(at) % 4];
                let before = entry.worth().0;
                if let Outcome::Reduced(less) = entry.learn(fact, RATE) {
                    assert_eq!(entry.worth().0, before - less.0, "{history}");
                }
                if let Fact::Reduced(left) = fact {
                    least = least.min(left.0.minor());
                }
                assert_eq!(entry.worth().0, least, "{history}");
            }
        }
    }

    #[test]
    fn in_whatever_order_facts_come_a_cancelled_payment_has_no_points() {
        for length in 1..=8 {
            // Each bit is a fact: all histories of this length.
            for history in 0..1_u32 << length {
                let (mut entry, mut cancelled) = (entry(), false);
                let mut outcomes = Vec::new();
                for at in 0..length {
                    let taken_back = history & (1 << at) != 0;
                    let fact = if taken_back { Fact::Cancelled } else { Fact::Approved(paid(1)) };
                    cancelled |= taken_back;
                    outcomes.push(entry.learn(fact, RATE));
                    assert_eq!(entry.state == State::Earned, !cancelled, "{history:b}");
                }
                let count = |outcome| outcomes.iter().filter(|it| **it == outcome).count();
                assert!(count(Outcome::Earned) <= 1, "{history:b}");
                let balanced = count(Outcome::Earned) == count(Outcome::Cancelled);
                assert_eq!(balanced, cancelled, "{history:b}");
            }
        }
    }
}
