//! The checkout story: coupon, points and balance pay beside the method, to the won,
//! and are back when the order comes to nothing.

use std::{collections::BTreeMap, iter::repeat_with};

use app::rest::{Answer, Rest};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::shop::{self, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, states, with_status, won},
};

const PRICE: i64 = 1_000;

/// A deployment with something on sale, and a member with a welcome coupon of 3,000 won and 1,000 points.
pub(crate) struct Shop {
    pub(crate) deployment: Deployment,
    pub(crate) product: Product,
    pub(crate) member: Member,
    pub(crate) coupon: String,
}

impl Shop {
    pub(crate) async fn open(story: &str, balance: i64) -> Self {
        Self::on(Deployment::open(story).await, balance).await
    }

    async fn on(deployment: Deployment, balance: i64) -> Self {
        let product = deployment.product(PRICE, 10_000).await;
        let member = deployment.member(balance).await;
        with_status(201, member.order_by_card(&product, 100).await);
        product.eventually_has(9_900).await;
        let coupon = eventually("1,000 points and a coupon", async || {
            same(member.balance_of_points().await, 1_000)?;
            let coupons = member.get(&format!("/v1/members/{}/coupons", member.id)).await;
            coupons.body["coupons"][0]["id"].as_str().map(str::to_owned).ok_or("none".to_owned())
        })
        .await;
        Self { deployment, product, member, coupon }
    }

    /// Places an order of ten, 10,000 won, with what it is paid with.
    pub(crate) async fn order(&self, paid: Value) -> Answer {
        self.member.place(&self.product, 10, paid).await
    }

    pub(crate) async fn eventually_holds(&self, coupon: &str, points: i64) {
        let path = format!("/v1/members/{}/coupons", self.member.id);
        eventually(&format!("the coupon {coupon} and {points} points"), async || {
            let coupons = states(&self.member.get(&path).await, "coupons");
            same((coupons, self.member.balance_of_points().await), (vec![coupon.into()], points))
        })
        .await;
    }
}

impl Member {
    async fn balance_of_points(&self) -> i64 {
        let path = format!("/v1/members/{}/mileage", self.id);
        let balance = self.get(&path).await.body["balance"].as_str().map(str::parse);
        balance.and_then(Result::ok).unwrap_or_default()
    }

    /// State and amount of an order's payment, and its parts.
    pub(crate) async fn payment(&self, order: &str) -> (String, i64, Vec<String>) {
        let payments = self.get(&format!("/v1/payments?orderId={order}")).await;
        let payment = &payments.body["payments"][0];
        let parts = payment["parts"].as_array().cloned().unwrap_or_default();
        let part = |part: &Value| {
            format!("{} {}", part["method"].as_str().unwrap_or_default(), units(&part["amount"]))
        };
        let state = payment["state"].as_str().unwrap_or_default().to_owned();
        (state, units(&payment["amount"]), parts.iter().map(part).collect())
    }
}

pub(crate) fn units(money: &Value) -> i64 {
    money["units"].as_str().and_then(|units| units.parse().ok()).unwrap_or_default()
}

async fn cancel(who: &Rest, order: &str) {
    with_status(200, who.post(&format!("/v1/orders/{order}:cancel"), json!({})).await.expect("ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn coupon_and_points_pay_and_are_back_when_the_order_is_cancelled() {
    let shop = Shop::open("checkout_card", 0).await;
    let paid = json!({
        "paymentMethod": "CARD", "cardToken": "tok_1", "couponId": shop.coupon, "points": 1_000,
    });
    let order = with_status(201, shop.order(paid).await);
    let amounts = ["goodsTotal", "couponDiscount", "payable"].map(|it| units(&order.body[it]));
    assert_eq!((amounts, &order.body["pointsUsed"]), ([10_000, 3_000, 6_000], &json!("1000")));
    let line = &order.body["lines"][0];
    let shares = ["couponShare", "pointsShare", "payableShare"].map(|it| units(&line[it]));
    assert_eq!(shares, [3_000, 1_000, 6_000]);
    let id = order.text("id");
    let payment = shop.member.payment(&id).await;
    assert_eq!(payment, ("DONE".into(), 6_000, vec!["CARD 6000".into()]));
    shop.eventually_holds("REDEEMED", 60).await;
    shop.member.eventually_sees(&id, "DELIVERING").await;

    cancel(&shop.member.rest, &id).await;
    shop.eventually_holds("ISSUED", 1_000).await;
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_covered_costs_nothing_by_any_method() {
    let shop = Shop::open("checkout_covered", 0).await;
    let seller = shop.deployment.seller().await;
    for paid in [
        json!({ "paymentMethod": "CARD", "cardToken": "tok_declined", "points": 1_000 }),
        json!({ "paymentMethod": "BANK_TRANSFER", "points": 1_000 }),
        json!({ "paymentMethod": "WALLET", "points": 1_000 }),
    ] {
        let order = with_status(201, shop.member.place(&shop.product, 1, paid).await);
        let id = order.text("id");
        shop.member.eventually_sees(&id, "DELIVERING").await;
        assert_eq!(shop.member.payment(&id).await, ("DONE".into(), 0, Vec::new()));
        shop.eventually_holds("ISSUED", 0).await;
        // What is paid by bank transfer only the shop cancels.
        cancel(&seller, &id).await;
        shop.eventually_holds("ISSUED", 1_000).await;
    }
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_pays_its_part_of_a_transfer_and_of_a_card() {
    let shop = Shop::open("checkout_wallet", 4_000).await;
    let part = |method: &str, part: i64| json!({ "paymentMethod": method, "cardToken": "tok_1", "walletAmount": won(part) });
    refused(409, "INSUFFICIENT_BALANCE", &shop.order(part("CARD", 4_001)).await);
    let short = with_status(201, shop.order(part("BANK_TRANSFER", 4_001)).await).text("id");
    shop.member.eventually_sees(&short, "CANCELLED").await;
    assert_eq!(shop.member.cancel_reason(&short).await, "INSUFFICIENT_BALANCE");

    let order = with_status(201, shop.order(part("BANK_TRANSFER", 4_000)).await).text("id");
    shop.member.eventually_sees_payment(&order, "WAITING_FOR_DEPOSIT").await;
    assert_eq!(shop.member.balance().await, Some(0), "held until the payment ends");
    let seller = shop.deployment.seller().await;
    let payments = shop.member.get(&format!("/v1/payments?orderId={order}")).await;
    let payment = payments.body["payments"][0]["id"].as_str().expect("one").to_owned();
    refused(400, "WRONG_AMOUNT", &shop::confirm(&seller, &payment, 10_000).await);
    shop.deployment.all_holds().await;
    with_status(200, shop::confirm(&seller, &payment, 6_000).await);
    let parts = vec!["WALLET 4000".to_owned(), "BANK_TRANSFER 6000".into()];
    assert_eq!(shop.member.payment(&order).await, ("DONE".into(), 10_000, parts));
    cancel(&seller, &order).await;
    // What a transfer paid goes to the wallet, when nobody says another account.
    shop.member.eventually_has(10_000).await;

    let card = with_status(201, shop.order(part("CARD", 9_000)).await).text("id");
    let parts = vec!["WALLET 9000".to_owned(), "CARD 1000".into()];
    assert_eq!(shop.member.payment(&card).await, ("DONE".into(), 10_000, parts));
    shop.member.eventually_has(1_000).await;
    cancel(&shop.member.rest, &card).await;
    shop.member.eventually_has(10_000).await;
    let declined = json!({
        "paymentMethod": "CARD", "cardToken": "tok_declined", "walletAmount": won(5_000),
    });
    refused(409, "CARD_DECLINED", &shop.order(declined).await);
    shop.member.eventually_has(10_000).await;
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_100_orders_with_one_coupon_one_has_it() {
    let shop = Shop::open("checkout_race", 1_000_000).await;
    let paid = || {
        let points = json!({ "paymentMethod": "WALLET", "couponId": shop.coupon });
        shop.order(points)
    };
    let answers = join_all(repeat_with(paid).take(100)).await;
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for answer in &answers {
        let reason = answer.body["reason"].as_str().unwrap_or("placed");
        *ends.entry(reason.to_owned()).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("placed".into(), 1), ("COUPON_REDEEMED".into(), 99)]));

    let spend = || shop.order(json!({ "paymentMethod": "WALLET", "points": 1_000 }));
    let answers = join_all(repeat_with(spend).take(64)).await;
    let placed = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    for other in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
        refused(409, "INSUFFICIENT_POINTS", other);
    }
    assert_eq!(placed, 1);
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_takes_nothing() {
    let shop = Shop::open("checkout_refused", 0).await;
    let other = shop.deployment.member(0).await;
    let card = |more: Value| {
        let mut body = json!({ "paymentMethod": "CARD", "cardToken": "tok_1" });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("one"));
        body
    };
    let foreign = other.place(&shop.product, 10, card(json!({ "couponId": shop.coupon }))).await;
    assert_eq!(with_status(400, foreign).body["violations"][0]["field"], "couponId");
    let small = shop.member.place(&shop.product, 9, card(json!({ "couponId": shop.coupon })));
    refused(409, "COUPON_MINIMUM", &small.await);
    let points = json!({ "couponId": shop.coupon, "points": 1_001 });
    refused(409, "INSUFFICIENT_POINTS", &shop.order(card(points)).await);
    let declined = json!({
        "paymentMethod": "CARD", "cardToken": "tok_declined", "couponId": shop.coupon, "points": 9,
    });
    refused(409, "CARD_DECLINED", &shop.order(declined).await);
    shop.eventually_holds("ISSUED", 1_000).await;
    // Short of stock: all of it is back.
    let scarce = shop.deployment.product(PRICE, 9).await;
    let paid = card(json!({ "couponId": shop.coupon, "points": 1_000 }));
    let short = with_status(201, shop.member.place(&scarce, 10, paid).await).text("id");
    shop.member.eventually_sees(&short, "CANCELLED").await;
    shop.eventually_holds("ISSUED", 1_000).await;
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_coupon_or_mileage_stopped_only_orders_that_need_them_wait() {
    let mut shop = Shop::on(Deployment::split("checkout_stopped").await, 0).await;
    let card = json!({ "paymentMethod": "CARD", "cardToken": "tok_1" });
    for away in ["coupon", "mileage"] {
        shop.deployment.kill(away);
        with_status(201, shop.order(card.clone()).await);
        let paid = json!({
            "paymentMethod": "CARD", "cardToken": "tok_1", "couponId": shop.coupon, "points": 500,
        });
        refused_for_now(&shop.order(paid).await);
        shop.deployment.start(away).await;
    }
    // The two orders without them have earned 100 points each.
    shop.eventually_holds("ISSUED", 1_200).await;
    shop.deployment.all_holds().await;
}
