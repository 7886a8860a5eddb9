//! What an order is paid with, and who bears how much of it, one sentence each.

use super::*;
use crate::domain::ProductId;

fn lines(costs: &[(i32, i64)]) -> Vec<Line> {
    let line = |(quantity, price): &(i32, i64)| Line {
        product: ProductId(base::id::new()),
        display_name: "밀키트".into(),
        quantity: *quantity,
        unit_price: Money::krw(*price),
    };
    costs.iter().map(line).collect()
}

fn checkout(points: Won, wallet: Won) -> Checkout {
    Checkout { points, wallet, ..Checkout::default() }
}

#[test]
fn a_share_is_in_proportion_and_the_largest_remainders_get_the_rest() {
    for (amount, weights, shares) in [
        (10, &[1, 1, 1][..], &[4, 3, 3][..]),
        (1, &[1, 1, 1], &[1, 0, 0]),
        (2, &[2, 3, 5], &[0, 1, 1]),
        (3_000, &[3_000, 7_000], &[900, 2_100]),
        (5, &[0, 5, 0], &[0, 5, 0]),
        (0, &[0, 0], &[0, 0]),
        (0, &[], &[]),
        (1_000_000_000_000, &[999_999_999_999, 1], &[999_999_999_999, 1]),
        (999_999_999_999, &[1_000_000_000_000, 1], &[999_999_999_998, 1]),
    ] {
        assert_eq!(split(amount, weights), shares, "{amount} over {weights:?}");
    }
}

#[test]
fn shares_add_up_and_nobody_bears_more_than_their_weight() {
    let all = 0..=7;
    for a in all.clone() {
        for b in all.clone() {
            for c in all.clone() {
                let weights = [a, b, c];
                for amount in 0..=a + b + c {
                    let shares = split(amount, &weights);
                    assert_eq!(sum(&shares), amount, "{amount} over {weights:?}");
                    let fair = |(share, weight): (&Won, &Won)| (0..=*weight).contains(share);
                    assert!(shares.iter().zip(&weights).all(fair), "{amount} over {weights:?}");
                    // Within one won of what is exact.
                    let whole = a + b + c;
                    let near = |(share, weight): (&Won, &Won)| {
                        (share * whole - amount * weight).abs() < whole.max(1)
                    };
                    assert!(shares.iter().zip(&weights).all(near), "{amount} over {weights:?}");
                }
            }
        }
    }
}

#[test]
fn whatever_pays_an_order_its_lines_bear_exactly_that() {
    let lines = lines(&[(3, 333), (1, 1), (7, 1_000), (2, 0)]);
    let goods: Won = lines.iter().map(Line::cost).sum();
    for discount in [0, 1, 3_000, goods] {
        let most = goods - discount;
        for points in [0, 1, 999, most].into_iter().filter(|points| *points <= most) {
            let left = goods - discount - points;
            for wallet in [0, 1, 500, left].into_iter().filter(|wallet| *wallet <= left) {
                let paid = checkout(points, wallet).with_discount(Money::krw(discount), &lines);
                let paid = paid.expect("fits");
                let of = |get: fn(&Share) -> Won| paid.shares.iter().map(get).sum::<Won>();
                assert_eq!(of(|it| it.coupon), discount);
                assert_eq!(of(|it| it.points), points);
                assert_eq!(of(|it| it.wallet), wallet);
                let payable = lines.iter().zip(&paid.shares).map(|(line, it)| it.payable(line));
                let payable: Vec<Won> = payable.collect();
                assert!(payable.iter().all(|won| *won >= 0), "{payable:?}");
                let all = paid.payable(Money::krw(goods)).minor();
                assert_eq!(all, goods - discount - points - wallet);
                assert!(paid.shares.is_empty() || payable.iter().sum::<Won>() == all);
            }
        }
    }
}

#[test]
fn more_than_there_is_left_is_refused_on_its_field() {
    let lines = lines(&[(1, 10_000)]);
    let refused = |points, wallet| {
        let refused = checkout(points, wallet).with_discount(Money::krw(3_000), &lines);
        refused.expect_err("too much").to_string()
    };
    assert!(refused(7_001, 0).contains("points: must be 0 to 7,000"), "{}", refused(7_001, 0));
    assert!(refused(7_000, 1).contains("walletAmount.units: must be 0 to 0"));
    let most = checkout(0, 0).with_discount(Money::krw(20_000), &lines).expect("fits");
    assert_eq!((most.discount, most.payable(Money::krw(10_000))), (10_000, Money::ZERO));
}
