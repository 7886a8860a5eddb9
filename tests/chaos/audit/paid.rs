//! To the won: what an order was to be paid with is what each line bears, what was
//! taken, and what has gone back of it. Money, points and coupons of each order alone.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Seen, shares, text};
use crate::{customer::units, shop::Shop};

/// Of what was paid, in points.
const POINTS: i64 = 100;

/// What an order has of a member's wallet, and of points.
#[derive(Default)]
pub(super) struct Took {
    pub(super) wallet: i64,
    pub(super) points: i64,
}

pub(super) fn compare(shop: &Shop, seen: &Seen) {
    let coupons: HashMap<String, &Value> =
        seen.coupons.iter().map(|coupon| (text(coupon, "id"), coupon)).collect();
    let mut with_coupon = HashSet::new();
    for (id, order) in &seen.orders {
        let wrong = |what: String| shop.wrong(std::slice::from_ref(id), format!("{what}: {order}"));
        let paid_with = shares::paid_with(order);
        if paid_with.iter().sum::<i64>() != units(&order["total"])
            || paid_with.iter().any(|won| *won < 0)
            || order["goodsTotal"] != order["total"]
        {
            wrong("it is not paid as a whole".to_owned());
        }
        let (told, expected) = (shares::told(order), shares::of_lines(order));
        if told != expected {
            wrong(format!("its lines bear {told:?}, not {expected:?}"));
        }
        let stands = text(order, "state") != "CANCELLED";
        let coupon = text(order, "couponId");
        if !coupon.is_empty() {
            shop.count("orders with a coupon", 1);
            redeemed(shop, id, order, coupons.get(&coupon).copied());
            if stands && !with_coupon.insert(coupon) {
                wrong("its coupon is another order's".to_owned());
            }
        }
        shop.count("orders with points", u64::from(paid_with[1] > 0));
        shop.count("orders with a part from the wallet", u64::from(paid_with[2] > 0));
        shop.count("orders that cost nothing", u64::from(paid_with[2] + paid_with[3] == 0));
        for payment in seen.payments.get(id).into_iter().flatten() {
            paid(shop, seen, order, payment);
        }
    }
    for coupon in &seen.coupons {
        let id = text(coupon, "id");
        if (text(coupon, "state") == "REDEEMED") != with_coupon.contains(&id) {
            let about = [text(coupon, "orderId"), text(coupon, "memberId")];
            shop.wrong(&about, format!("redeemed for no order, or not redeemed: {coupon}"));
        }
    }
}

/// The coupon of an order takes off what its terms say, and is the order's while that stands.
fn redeemed(shop: &Shop, id: &str, order: &Value, coupon: Option<&Value>) {
    let about = [id.to_owned(), text(order, "memberId")];
    let Some(coupon) = coupon else {
        return shop.wrong(&about, format!("nobody has its coupon: {order}"));
    };
    let (goods, discount) = (units(&order["total"]), &coupon["discount"]);
    let least = units(&coupon["minimumTotal"]);
    let off = match discount["percent"].as_i64() {
        Some(percent) => {
            let most = units(&discount["maximum"]);
            let off = goods * percent / 100;
            if most > 0 { off.min(most) } else { off }
        }
        None => units(&discount["amount"]).min(goods),
    };
    let stands = text(order, "state") != "CANCELLED";
    let theirs = text(coupon, "orderId") == *id;
    if units(&order["couponDiscount"]) != off || goods < least || theirs != stands {
        shop.wrong(&about, format!("{off} off is to be redeemed: {coupon}, and {order}"));
    }
    if text(coupon, "memberId") != text(order, "memberId") {
        shop.wrong(&about, format!("somebody else's coupon: {coupon}, and {order}"));
    }
}

/// What a payment took, by each way of paying, less what went back, is what the kept pieces bear.
fn paid(shop: &Shop, seen: &Seen, order: &Value, payment: &Value) {
    let [_, _, wallet, payable] = shares::paid_with(order);
    let [.., kept_wallet, kept_payable] = shares::kept(order);
    let (method, state) = (text(order, "paymentMethod"), text(payment, "state"));
    let wrong = |what: String| {
        let about = [text(order, "id"), text(payment, "id")];
        shop.wrong(&about, format!("{what}: {payment} of {order}"));
    };
    let amount = units(&payment["amount"]);
    let (mut by_method, mut by_wallet) = parts(payment);
    let [mut to_method, mut to_wallet] =
        [back(payment, |to| to != "WALLET"), back(payment, |to| to == "WALLET")];
    let (mut due, mut stays) = ((wallet, payable), (kept_wallet, kept_payable));
    if method != "CARD" {
        // The wallet and the account are one where the money goes back.
        (by_method, by_wallet) = (by_method + by_wallet, 0);
        (to_method, to_wallet) = (to_method + to_wallet, 0);
        (due, stays) = ((0, wallet + payable), (0, kept_wallet + kept_payable));
    }
    if by_method + by_wallet != amount {
        wrong(format!("its parts are {by_method} and {by_wallet}"));
    }
    let transfer = method == "BANK_TRANSFER";
    let shrunk = transfer && by_method < due.1 && by_method >= stays.1;
    if (by_wallet, by_method) != due && !shrunk {
        wrong(format!("{due:?} were due by wallet and method"));
    }
    let left = (by_wallet - to_wallet, by_method - to_method);
    let right = match state.as_str() {
        "DONE" => left == stays,
        // A transfer that nobody had made, and a wallet that nothing was taken from.
        "CANCELLED" if transfer && !arrived(seen, payment, amount) => to_method == 0,
        "CANCELLED" => left == (0, 0),
        _ => (to_wallet, to_method) == (0, 0),
    };
    if !right {
        wrong(format!("{left:?} are left by wallet and method, where {stays:?} should be"));
    }
    let open = |refund: &&Value| text(refund, "state") != "REFUNDED";
    if let Some(refund) = payment["refunds"].as_array().into_iter().flatten().find(open) {
        wrong(format!("a refund that has not ended: {refund}"));
    }
}

/// What the method pays of a payment, and what the wallet does beside it.
fn parts(payment: &Value) -> (i64, i64) {
    let (mut by_method, mut by_wallet) = (0, 0);
    for part in payment["parts"].as_array().into_iter().flatten() {
        let beside = text(part, "method") == "WALLET";
        *(if beside { &mut by_wallet } else { &mut by_method }) += units(&part["amount"]);
    }
    (by_method, by_wallet)
}

/// What went back, to these.
fn back(payment: &Value, to: impl Fn(&str) -> bool) -> i64 {
    let refunds = payment["refunds"].as_array().into_iter().flatten();
    refunds.filter(|it| to(&text(it, "tender"))).map(|it| units(&it["amount"])).sum()
}

/// Whether a transfer's payment was DONE before it was cancelled.
fn arrived(seen: &Seen, payment: &Value, amount: i64) -> bool {
    let id = text(payment, "id");
    let of = seen.deposits.iter().filter(|it| text(it, "paymentId") == id);
    let matched: i64 = of.map(|it| units(&it["matchedAmount"])).sum();
    let (by_method, _) = parts(payment);
    matched > 0 || (by_method == 0 && amount >= 0)
}

/// What a payment has of its member's wallet, all in all.
fn of_wallet(seen: &Seen, order: &Value, payment: &Value) -> i64 {
    let (by_method, by_wallet) = parts(payment);
    let method = text(order, "paymentMethod");
    let taken = if method == "WALLET" { by_method + by_wallet } else { by_wallet };
    // What a bank could not pay out is in the wallet by an entry of its own.
    let refunds = payment["refunds"].as_array().into_iter().flatten();
    let back =
        refunds.filter(|it| text(it, "tender") == "WALLET" && text(it, "payoutId").is_empty());
    let back: i64 = back.map(|it| units(&it["amount"])).sum();
    let paid = match text(payment, "state").as_str() {
        "DONE" => true,
        "CANCELLED" => {
            method != "BANK_TRANSFER" || arrived(seen, payment, units(&payment["amount"]))
        }
        _ => false,
    };
    if paid { taken - back } else { 0 }
}

/// What an order has of its member's.
pub(super) fn took(seen: &Seen, order: &Value) -> Took {
    let payments = seen.payments.get(&text(order, "id")).into_iter().flatten();
    let wallet = payments.map(|payment| of_wallet(seen, order, payment)).sum();
    let stands = text(order, "state") != "CANCELLED";
    Took { wallet, points: if stands { shares::kept(order)[1] } else { 0 } }
}

/// The points that an order has earned: as many as were ever given for it at least and at most, and what
/// it is worth now.
pub(super) fn earned(order: &Value) -> (i64, i64, i64) {
    let [_, _, wallet, payable] = shares::paid_with(order);
    let [.., kept_wallet, kept_payable] = shares::kept(order);
    let (most, least) = ((wallet + payable) / POINTS, (kept_wallet + kept_payable) / POINTS);
    let paid = ["DELIVERING", "DELIVERED", "CLOSED"].contains(&&*text(order, "state"));
    (least, most, if paid { least } else { 0 })
}
