//! What an order is paid with beside its method, and how much of it each line
//! bears: fixed when the order is placed, to the won.

#![warn(clippy::arithmetic_side_effects, reason = "a share that wraps is a price that nobody set")]

use std::{cmp::Reverse, ops::RangeInclusive};

use base::{Error, Money, id::Uuid, input};

use super::Line;

/// How many points an order may be paid with.
pub(crate) const POINTS: RangeInclusive<i64> = 0..=1_000_000_000_000;

/// What pays an order beside its method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    pub(crate) coupon: Option<Uuid>,
    /// What the coupon takes off; 0 until it is redeemed.
    pub(crate) discount: Won,
    pub(crate) points: Won,
    pub(crate) wallet: Won,
    /// One for each line; none when there is nothing to share.
    pub(crate) shares: Vec<Share>,
}

/// Whole won. A point is worth one.
pub(crate) type Won = i64;

/// What a line bears of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) coupon: Won,
    pub(crate) points: Won,
    pub(crate) wallet: Won,
}

impl Checkout {
    /// Whether something has to be reserved before the order is placed.
    pub(crate) fn reserves(&self) -> bool {
        self.coupon.is_some() || self.points > 0
    }

    /// The same, now that it is known what the coupon takes off these lines. Refused when points or
    /// wallet are to pay more than there is left.
    pub(crate) fn with_discount(self, discount: Money, lines: &[Line]) -> Result<Self, Error> {
        let mut left: Vec<Won> = lines.iter().map(Line::cost).collect();
        let discount = discount.minor().min(sum(&left));
        let coupon = take("couponId", discount, &mut left)?;
        let points = take("points", self.points, &mut left)?;
        let wallet = take("walletAmount.units", self.wallet, &mut left)?;
        let shares = if discount == 0 && self.points == 0 && self.wallet == 0 {
            Vec::new()
        } else {
            let columns = coupon.into_iter().zip(points).zip(wallet);
            columns.map(|((coupon, points), wallet)| Share { coupon, points, wallet }).collect()
        };
        Ok(Self { discount, shares, ..self })
    }

    /// What payment is to be asked for, by wallet and method together.
    pub(crate) fn amount(&self, goods: Money) -> Money {
        let less = self.discount.saturating_add(self.points);
        Money::krw(goods.minor().saturating_sub(less))
    }

    /// What the method pays.
    pub(crate) fn payable(&self, goods: Money) -> Money {
        Money::krw(self.amount(goods).minor().saturating_sub(self.wallet))
    }
}

impl Share {
    /// What the method pays of a line.
    pub(crate) fn payable(&self, line: &Line) -> Won {
        let less = self.coupon.saturating_add(self.points).saturating_add(self.wallet);
        line.cost().saturating_sub(less)
    }
}

/// Takes an amount from what is left of the lines. Answers how much of it each bears.
fn take(field: &str, amount: Won, left: &mut [Won]) -> Result<Vec<Won>, Error> {
    input::number(field, amount, &(0..=sum(left)))?;
    let shares = split(amount, left);
    for (left, share) in left.iter_mut().zip(&shares) {
        *left = left.saturating_sub(*share);
    }
    Ok(shares)
}

/// Splits an amount in proportion to the weights, which are 0 or more and add up to that much at least.
/// Of what rounding leaves each gets one won by the largest remainder, of two the earlier (the Hamilton
/// method); so nobody gets more than their weight.
pub(crate) fn split(amount: Won, weights: &[Won]) -> Vec<Won> {
    let whole = i128::from(sum(weights));
    let parts = weights.iter().map(|weight| {
        let product = i128::from(amount).saturating_mul(i128::from(*weight));
        let (share, rest) = (product.checked_div(whole), product.checked_rem(whole));
        (Won::try_from(share.unwrap_or_default()).unwrap_or_default(), rest.unwrap_or_default())
    });
    let (mut shares, rests): (Vec<Won>, Vec<i128>) = parts.unzip();
    let missing = usize::try_from(amount.saturating_sub(sum(&shares))).unwrap_or_default();
    let mut order: Vec<usize> = (0..rests.len()).collect();
    order.sort_by_key(|at| Reverse(rests.get(*at)));
    for at in order.into_iter().take(missing) {
        if let Some(share) = shares.get_mut(at) {
            *share = share.saturating_add(1);
        }
    }
    shares
}

fn sum(won: &[Won]) -> Won {
    won.iter().fold(0, |sum, won| sum.saturating_add(*won))
}

#[cfg(test)]
#[path = "../checkout_tests.rs"]
mod tests;
