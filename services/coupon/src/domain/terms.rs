//! On what terms a coupon is good, and what it takes off: no clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use base::{Error, Money, input, input::Text};

/// What a policy and its coupons are called.
pub(crate) const NAME: Text = Text::new(1, 100);
/// What a coupon may take off, and at most take off, in won.
pub(crate) const AMOUNT: RangeInclusive<i64> = 1..=1_000_000_000;
/// What share a coupon may take off, in percent.
pub(crate) const PERCENT: RangeInclusive<i32> = 1..=100;
/// What goods may cost, and may have to cost at least, in won.
pub(crate) const TOTAL: RangeInclusive<i64> = 0..=1_000_000_000_000;
/// How long coupons may be good for.
pub(crate) const DAYS: RangeInclusive<i32> = 1..=3_650;

const DAY: u64 = 24 * 60 * 60;

/// What a coupon takes off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Discount {
    Amount(Money),
    Percent {
        percent: i32,
        /// The most that it takes off.
        maximum: Option<Money>,
    },
}

impl Discount {
    /// Reads a discount: an amount, or a share with or without a maximum. `field` is its path.
    pub(crate) fn parse(
        field: &str,
        amount: Option<(&str, i64, i32)>,
        percent: Option<i32>,
        maximum: Option<(&str, i64, i32)>,
    ) -> Result<Self, Error> {
        let most = format!("{field}.maximum");
        match (amount, percent) {
            (Some(_), None) if maximum.is_some() => {
                Err(Error::violation(most, "must be absent beside an amount"))
            }
            (Some(amount), None) => {
                let field = format!("{field}.amount");
                Money::parse_within(&field, Some(amount), &AMOUNT).map(Self::Amount)
            }
            (None, Some(percent)) => {
                let percent = input::number(&format!("{field}.percent"), percent, &PERCENT)?;
                let maximum = maximum.map(|parts| Money::parse_within(&most, Some(parts), &AMOUNT));
                Ok(Self::Percent { percent, maximum: maximum.transpose()? })
            }
            _ => Err(Error::violation(field, "must have either an amount or a percent")),
        }
    }

    /// What it takes off goods that cost this much: whole won, and never more than they cost.
    pub(crate) fn of(self, goods: Money) -> Money {
        match self {
            Self::Amount(amount) => amount.min(goods),
            Self::Percent { percent, maximum } => {
                let share = i128::from(goods.minor())
                    .checked_mul(i128::from(percent))
                    .and_then(|share| share.checked_div(100))
                    .and_then(|share| i64::try_from(share).ok());
                let share = Money::krw(share.expect("no more than the goods cost"));
                maximum.map_or(share, |maximum| share.min(maximum)).min(goods)
            }
        }
    }
}

/// What a coupon is good for. A coupon keeps those that its policy had when it was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) display_name: String,
    pub(crate) discount: Discount,
    /// What the goods have to cost at least.
    pub(crate) minimum: Money,
}

/// The terms on which coupons are issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) terms: Terms,
    pub(crate) valid_days: i32,
}

impl Policy {
    /// When a coupon expires that is issued now.
    pub(crate) fn expiry(&self, now: SystemTime) -> SystemTime {
        let days = u64::try_from(self.valid_days).unwrap_or_default();
        now.checked_add(Duration::from_secs(days.saturating_mul(DAY))).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn krw(won: i64) -> (&'static str, i64, i32) {
        ("KRW", won, 0)
    }

    #[test]
    fn an_amount_is_capped_by_the_goods() {
        let discount = Discount::parse("discount", Some(krw(3_000)), None, None).expect("right");
        for (goods, off) in [(0, 0), (2_999, 2_999), (3_000, 3_000), (10_000, 3_000)] {
            assert_eq!(discount.of(Money::krw(goods)), Money::krw(off), "{goods}");
        }
    }

    #[test]
    fn a_share_is_floored_and_capped_by_its_maximum() {
        let discount =
            Discount::parse("discount", None, Some(15), Some(krw(2_000))).expect("right");
        for (goods, off) in
            [(0, 0), (6, 0), (7, 1), (9_999, 1_499), (13_334, 2_000), (99_999, 2_000)]
        {
            assert_eq!(discount.of(Money::krw(goods)), Money::krw(off), "{goods}");
        }
        let whole = Discount::parse("discount", None, Some(100), None).expect("right");
        for goods in [0, 1, *TOTAL.end(), i64::MAX] {
            assert_eq!(whole.of(Money::krw(goods)), Money::krw(goods), "{goods}");
        }
    }

    #[test]
    fn a_discount_is_an_amount_or_a_share() {
        for (amount, percent, maximum, field) in [
            (None, None, None, "discount"),
            (Some(krw(1)), Some(1), None, "discount"),
            (Some(krw(1)), None, Some(krw(1)), "discount.maximum"),
            (Some(krw(0)), None, None, "discount.amount.units"),
            (None, Some(0), None, "discount.percent"),
            (None, Some(101), None, "discount.percent"),
            (None, Some(10), Some(krw(0)), "discount.maximum.units"),
        ] {
            let refused = Discount::parse("discount", amount, percent, maximum).expect_err(field);
            let said = refused.to_string();
            assert!(said.starts_with(&format!("INVALID_FIELD: {field}: ")), "{said}");
        }
    }

    #[test]
    fn a_coupon_is_good_for_whole_days() {
        let terms = Terms {
            display_name: "쿠폰".to_owned(),
            discount: Discount::Amount(Money::krw(1)),
            minimum: Money::ZERO,
        };
        let policy = Policy { terms, valid_days: 90 };
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(policy.expiry(now), now + Duration::from_hours(90 * 24));
    }
}
