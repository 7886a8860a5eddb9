//! What each piece of a line bears of what pays the order: the line's shares over its pieces as the
//! order's are over its lines, so that a piece that is taken back gives back what it was paid with, and
//! all pieces of a line exactly its shares, in whatever order they go.

#![warn(clippy::arithmetic_side_effects, reason = "a share that wraps is a price that nobody set")]

use std::cmp::Reverse;

use super::{
    Line,
    checkout::{Share, Won},
};

/// What pieces bear of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bears {
    pub(crate) coupon: Won,
    pub(crate) points: Won,
    pub(crate) wallet: Won,
    /// What the method pays.
    pub(crate) payable: Won,
}

impl Bears {
    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            coupon: self.coupon.saturating_add(other.coupon),
            points: self.points.saturating_add(other.points),
            wallet: self.wallet.saturating_add(other.wallet),
            payable: self.payable.saturating_add(other.payable),
        }
    }

    fn times(self, pieces: i64) -> Self {
        Self {
            coupon: self.coupon.saturating_mul(pieces),
            points: self.points.saturating_mul(pieces),
            wallet: self.wallet.saturating_mul(pieces),
            payable: self.payable.saturating_mul(pieces),
        }
    }
}

/// Pieces beside one another that bear the same, each.
#[derive(Clone, Copy, Debug)]
struct Run {
    pieces: i64,
    each: Bears,
}

/// What these pieces of a line bear: so many, after those that went before.
pub(crate) fn bear(line: &Line, share: Share, before: i32, pieces: i32) -> Bears {
    let (mut skip, mut wanted) = (i64::from(before), i64::from(pieces));
    let mut sum = Bears::default();
    for run in runs(line, share) {
        let skipped = skip.min(run.pieces);
        skip = skip.saturating_sub(skipped);
        let taken = run.pieces.saturating_sub(skipped).min(wanted);
        wanted = wanted.saturating_sub(taken);
        sum = sum.plus(run.each.times(taken));
    }
    sum
}

/// The pieces of a line, the first first: the coupon over their prices, points over what it leaves, the
/// wallet over what they leave; the rest is the method's.
fn runs(line: &Line, share: Share) -> Vec<Run> {
    let each = Bears { payable: line.unit_price.minor(), ..Bears::default() };
    let whole = vec![Run { pieces: line.quantity.into(), each }];
    let coupon = spread(share.coupon, &whole, |bears| &mut bears.coupon);
    let points = spread(share.points, &coupon, |bears| &mut bears.points);
    spread(share.wallet, &points, |bears| &mut bears.wallet)
}

/// Moves an amount from what the method pays, in proportion to it: by the largest remainder, of two the
/// earlier (the Hamilton method, as in `checkout::split`, on runs instead of one weight per piece).
fn spread(amount: Won, runs: &[Run], of: fn(&mut Bears) -> &mut Won) -> Vec<Run> {
    let weigh = |sum: i128, run: &Run| {
        sum.saturating_add(i128::from(run.pieces).saturating_mul(run.each.payable.into()))
    };
    let whole = runs.iter().fold(0, weigh);
    let shared = runs.iter().map(|run| {
        let product = i128::from(amount).saturating_mul(run.each.payable.into());
        let (won, rest) = (product.checked_div(whole), product.checked_rem(whole));
        (Won::try_from(won.unwrap_or_default()).unwrap_or_default(), rest.unwrap_or_default())
    });
    let shared: Vec<(Won, i128)> = shared.collect();
    let given = std::iter::zip(runs, &shared)
        .fold(0_i64, |sum, (run, (won, _))| sum.saturating_add(run.pieces.saturating_mul(*won)));
    let mut missing = amount.saturating_sub(given);
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|at| Reverse(shared.get(*at).map(|(_, rest)| *rest)));
    let mut more = vec![0_i64; runs.len()];
    for at in order {
        let (Some(more), Some(run)) = (more.get_mut(at), runs.get(at)) else { continue };
        *more = missing.min(run.pieces);
        missing = missing.saturating_sub(*more);
    }
    let split =
        std::iter::zip(std::iter::zip(runs, shared), more).flat_map(|((run, (won, _)), more)| {
            let pay = |pieces, won: Won| {
                let mut each = run.each;
                each.payable = each.payable.saturating_sub(won);
                *of(&mut each) = won;
                Run { pieces, each }
            };
            [pay(more, won.saturating_add(1)), pay(run.pieces.saturating_sub(more), won)]
        });
    split.filter(|run| run.pieces > 0).collect()
}

#[cfg(test)]
#[path = "../pieces_tests.rs"]
mod tests;
