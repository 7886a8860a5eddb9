//! What each piece of an order bears of what pays it, worked out the long way: one
//! piece after the other, each amount by the largest remainder.

use serde_json::Value;

use super::number;
use crate::customer::units;

/// What is borne of coupon, points, wallet, and method, in that order.
pub(super) type Bears = [i64; 4];

/// The fields of a line that say so.
const FIELDS: [&str; 4] = ["couponShare", "pointsShare", "walletShare", "payableShare"];

/// What an order is paid with, as it says itself.
pub(super) fn paid_with(order: &Value) -> Bears {
    [
        units(&order["couponDiscount"]),
        number(order, "pointsUsed"),
        units(&order["walletUsed"]),
        units(&order["payable"]),
    ]
}

/// What each line says that it bears.
pub(super) fn told(order: &Value) -> Vec<Bears> {
    let lines = order["lines"].as_array().into_iter().flatten();
    lines.map(|line| FIELDS.map(|field| units(&line[field]))).collect()
}

/// What each line has to bear.
pub(super) fn of_lines(order: &Value) -> Vec<Bears> {
    let lines = order["lines"].as_array().into_iter().flatten();
    let costs = lines.map(|line| number(line, "quantity") * units(&line["unitPrice"])).collect();
    spread(paid_with(order), costs)
}

/// What is borne by the pieces of an order that nobody has taken back: the first go first.
pub(super) fn kept(order: &Value) -> Bears {
    let mut sum = [0; 4];
    let lines = order["lines"].as_array().into_iter().flatten();
    for (line, bears) in lines.zip(of_lines(order)) {
        let quantity = usize::try_from(number(line, "quantity")).unwrap_or_default();
        let gone = number(line, "cancelledQuantity") + number(line, "returnedQuantity");
        let pieces = spread(bears, vec![units(&line["unitPrice"]); quantity]);
        for piece in pieces.iter().skip(usize::try_from(gone).unwrap_or_default()) {
            for (sum, borne) in sum.iter_mut().zip(piece) {
                *sum += borne;
            }
        }
    }
    sum
}

/// Coupon, points and wallet over what is left of each cost, one after the other; the rest is the method's.
fn spread(amounts: Bears, mut left: Vec<i64>) -> Vec<Bears> {
    let mut all = vec![[0; 4]; left.len()];
    for (what, amount) in amounts.into_iter().enumerate().take(3) {
        for (at, share) in by_largest_remainder(amount, &left).into_iter().enumerate() {
            all[at][what] = share;
            left[at] -= share;
        }
    }
    for (bears, rest) in all.iter_mut().zip(left) {
        bears[3] = rest;
    }
    all
}

fn by_largest_remainder(amount: i64, weights: &[i64]) -> Vec<i64> {
    let whole: i64 = weights.iter().sum();
    if whole == 0 {
        return vec![0; weights.len()];
    }
    let mut shares: Vec<i64> = weights.iter().map(|weight| amount * weight / whole).collect();
    let mut turn: Vec<usize> = (0..weights.len()).collect();
    turn.sort_by_key(|at| std::cmp::Reverse(amount * weights[*at] % whole));
    let missing = amount - shares.iter().sum::<i64>();
    for at in turn.into_iter().take(usize::try_from(missing).unwrap_or_default()) {
        shares[at] += 1;
    }
    shares
}
