//! What pieces bear of their line.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use base::Money;

use super::*;
use crate::domain::{ProductId, checkout::split};

fn line(quantity: i32, price: i64) -> Line {
    Line {
        product: ProductId(base::id::new()),
        display_name: "a".into(),
        quantity,
        unit_price: Money::krw(price),
    }
}

fn bears(coupon: Won, points: Won, wallet: Won, payable: Won) -> Bears {
    Bears { coupon, points, wallet, payable }
}

#[test]
fn of_what_does_not_divide_the_first_pieces_bear_one_won_more() {
    let (line, share) = (line(3, 10_000), Share { coupon: 1_000, ..Share::default() });
    assert_eq!(bear(&line, share, 0, 1), bears(334, 0, 0, 9_666));
    assert_eq!(bear(&line, share, 1, 1), bears(333, 0, 0, 9_667));
    assert_eq!(bear(&line, share, 2, 1), bears(333, 0, 0, 9_667));
    assert_eq!(bear(&line, share, 0, 3), bears(1_000, 0, 0, 29_000));
}

#[test]
fn a_thousand_million_pieces_are_shared_at_once() {
    let (line, share) = (line(1_000_000_000, 1_000), Share { points: 7, coupon: 3, wallet: 1 });
    let all = bears(3, 7, 1, 1_000_000_000_000 - 11);
    assert_eq!(bear(&line, share, 0, 1_000_000_000), all);
    let parts = bear(&line, share, 0, 5).plus(bear(&line, share, 5, 999_999_995));
    assert_eq!(parts, all);
}

/// Against `split` itself, piece by piece, of every small line: each piece costs its price, and portions
/// of any sizes add up to the line's shares.
#[test]
fn pieces_bear_what_splitting_piece_by_piece_says_and_add_up() {
    for (quantity, price) in
        (1..=5).flat_map(|quantity| (0..=4).map(move |price| (quantity, price)))
    {
        let line = line(quantity, price);
        for coupon in 0..=line.cost() {
            for points in 0..=line.cost() - coupon {
                for wallet in 0..=line.cost() - coupon - points {
                    check(&line, Share { coupon, points, wallet });
                }
            }
        }
    }
}

fn check(line: &Line, share: Share) {
    let pieces = usize::try_from(line.quantity).expect("small");
    let mut left = vec![line.unit_price.minor(); pieces];
    let columns = [share.coupon, share.points, share.wallet].map(|amount| {
        let column = split(amount, &left);
        left.iter_mut().zip(&column).for_each(|(left, won)| *left -= won);
        column
    });
    for (at, place) in (0..line.quantity).zip(0..) {
        let expected = bears(columns[0][place], columns[1][place], columns[2][place], left[place]);
        assert_eq!(bear(line, share, at, 1), expected, "{line:?} {share:?}");
        let both = bear(line, share, 0, at).plus(bear(line, share, at, line.quantity - at));
        let all = bears(share.coupon, share.points, share.wallet, share.payable(line));
        assert_eq!(both, all, "{line:?} {share:?}");
    }
}
