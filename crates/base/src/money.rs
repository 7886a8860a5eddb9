//! Money: whole minor units of one currency, never a float.
//!
//! On the wire it is `google.type.Money`; KRW has no decimals, so one minor
//! unit is one won and `nanos` must be 0.

use std::{fmt, ops::RangeInclusive};

use crate::{Error, input};

/// An amount in minor units. Arithmetic is checked: it answers `None` on overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// The currencies we keep books in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Currency {
    /// South Korean won; no decimals.
    Krw,
}

impl Currency {
    /// The ISO 4217 code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Krw => "KRW",
        }
    }
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self::krw(0);

    /// An amount of won.
    pub const fn krw(won: i64) -> Self {
        Self { minor: won, currency: Currency::Krw }
    }

    /// Reads the parts of a `google.type.Money` (`currencyCode`, `units`, `nanos`); `field` is its path.
    pub fn parse(field: &str, parts: Option<(&str, i64, i32)>) -> Result<Self, Error> {
        match parts {
            None => Err(Error::violation(field, "is required")),
            Some((code, ..)) if code != Currency::Krw.code() => {
                Err(Error::violation(format!("{field}.currencyCode"), "must be KRW"))
            }
            Some((_, units, 0)) => Ok(Self::krw(units)),
            Some(_) => {
                Err(Error::violation(format!("{field}.nanos"), "must be 0: won have no decimals"))
            }
        }
    }

    /// The same, within a range of won.
    pub fn parse_within(
        field: &str,
        parts: Option<(&str, i64, i32)>,
        won: &RangeInclusive<i64>,
    ) -> Result<Self, Error> {
        let amount = Self::parse(field, parts)?;
        input::number(&format!("{field}.units"), amount.minor, won)?;
        Ok(amount)
    }

    /// The parts of a `google.type.Money`: `currencyCode` and `units`; `nanos` is 0.
    pub const fn to_wire(self) -> (&'static str, i64) {
        (self.currency.code(), self.minor)
    }

    /// The amount in minor units.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// True below zero.
    pub const fn is_negative(self) -> bool {
        self.minor < 0
    }

    /// The sum.
    pub const fn plus(self, other: Self) -> Option<Self> {
        match self.minor.checked_add(other.minor) {
            Some(minor) => Some(Self { minor, currency: self.currency }),
            None => None,
        }
    }

    /// The difference.
    pub const fn minus(self, other: Self) -> Option<Self> {
        match self.minor.checked_sub(other.minor) {
            Some(minor) => Some(Self { minor, currency: self.currency }),
            None => None,
        }
    }

    /// So many times the amount.
    pub const fn times(self, count: i64) -> Option<Self> {
        match self.minor.checked_mul(count) {
            Some(minor) => Some(Self { minor, currency: self.currency }),
            None => None,
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor, self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_won_are_taken() {
        let parse = |parts| Money::parse("price", parts);
        assert_eq!(parse(Some(("KRW", 1000, 0))).expect("won"), Money::krw(1000));
        assert!(parse(Some(("USD", 1000, 0))).is_err());
        assert!(parse(Some(("KRW", 1000, 1))).is_err());
        assert!(parse(None).is_err());
    }

    #[test]
    fn an_amount_is_within_its_range() {
        let parse = |won| Money::parse_within("price", Some(("KRW", won, 0)), &(0..=1_000));
        assert_eq!(parse(1_000).expect("fits"), Money::krw(1_000));
        for beyond in [-1, 1_001, i64::MIN, i64::MAX] {
            let refused = parse(beyond).expect_err("beyond").to_string();
            assert_eq!(refused, "INVALID_FIELD: price.units: must be 0 to 1,000");
        }
    }

    #[test]
    fn arithmetic_does_not_wrap() {
        assert_eq!(Money::krw(i64::MAX).plus(Money::krw(1)), None);
        assert_eq!(Money::krw(i64::MAX).times(2), None);
    }
}
