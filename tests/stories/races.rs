//! Races over REST, many rounds in one deployment: exactly one side wins each, and what
//! must always hold does when all have been run.

use std::{collections::BTreeMap, iter::repeat_with};

use futures_util::{StreamExt as _, future::join_all, stream};
use http::Method;
use serde_json::json;

use super::shop;
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, states, with_status, won},
};

const PRICE: i64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cancellation_and_a_confirmation_exactly_one_wins() {
    let deployment = Deployment::open("race_cancel_confirm").await;
    let product = deployment.product(PRICE, 1_000).await;
    let (member, seller) = (deployment.member(0).await, deployment.seller().await);
    let round = async || {
        let shop::Transfer { order, payment } = member.transfer(&product, 1).await;
        let (confirmed, cancelled) =
            tokio::join!(shop::confirm(&seller, &payment, PRICE), member.cancel(&order));
        match (confirmed.status.as_u16(), cancelled.status.as_u16()) {
            (200, 409 | 503) => true,
            (409, 200) => false,
            _ => panic!("not one of them: {confirmed} {cancelled}"),
        }
    };
    let mut confirmed = 0;
    for _ in 0..25 {
        let rounds = join_all(repeat_with(&round).take(8)).await;
        confirmed += rounds.into_iter().map(i64::from).sum::<i64>();
    }
    println!("{confirmed} of 200 were confirmed");
    product.eventually_has(1_000 - confirmed).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_buyers_of_the_last_unit_exactly_one_gets_it() {
    let deployment = Deployment::open("race_last_unit").await;
    let member = deployment.member(1_000_000).await;
    for _ in 0..4 {
        let product = deployment.product(PRICE, 1).await;
        let orders = sixty_four(&member, &product).await;
        let ends = ended(&member, &orders).await;
        assert_eq!(ends, BTreeMap::from([("DELIVERING", 1), ("OUT_OF_STOCK", 63)]));
        assert_eq!(product.stock().await, Some(0));
    }
    member.eventually_has(1_000_000 - 4 * PRICE).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_orders_on_one_balance_as_many_are_paid_as_it_pays_for() {
    let deployment = Deployment::open("race_balance").await;
    let product = deployment.product(PRICE, 1_000).await;
    for _ in 0..4 {
        let member = deployment.member(7 * PRICE + PRICE / 2).await;
        let orders = sixty_four(&member, &product).await;
        let ends = ended(&member, &orders).await;
        assert_eq!(ends, BTreeMap::from([("DELIVERING", 7), ("INSUFFICIENT_BALANCE", 57)]));
        assert_eq!(member.balance().await, Some(PRICE / 2));
    }
    product.eventually_has(1_000 - 4 * 7).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_from_16_clients_at_once_places_one_order() {
    let deployment = Deployment::open("race_key").await;
    let product = deployment.product(PRICE, 1_000).await;
    let member = deployment.member(100 * PRICE).await;
    for round in 0..100 {
        let body = json!({
            "paymentMethod": "WALLET",
            "lines": [{ "productId": product.id, "quantity": 1 }],
            "expectedTotal": won(PRICE),
        });
        let key = format!("round {round}");
        let headers = [("idempotency-key", key.as_str())];
        let place = || member.rest.send(Method::POST, "/v1/orders", Some(body.clone()), &headers);
        let answers = join_all(repeat_with(place).take(16)).await;
        let orders = answers.into_iter().map(|answer| {
            let answer = with_status(201, answer.expect("an answer"));
            (answer.text("id"), answer.headers.contains_key("idempotency-replayed"))
        });
        let orders: Vec<_> = orders.collect();
        assert!(orders.iter().all(|(id, _)| *id == orders[0].0), "{orders:?}");
        assert_eq!(orders.iter().filter(|(_, replayed)| !replayed).count(), 1, "{orders:?}");
    }
    product.eventually_has(900).await;
    member.eventually_has(0).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_withdrawal_and_the_issuing_of_the_coupon_the_withdrawal_wins() {
    let deployment = Deployment::open("race_withdrawal").await;
    let round = async |_| {
        let member = deployment.member(0).await;
        let path = format!("/v1/members/{}:withdraw", member.id);
        let withdrawn = member.rest.post(&path, json!({})).await.expect("an answer");
        with_status(200, withdrawn);
        member.id
    };
    let gone: Vec<String> = stream::iter(0..200).map(round).buffer_unordered(8).collect().await;
    deployment.all_holds().await;
    let admin = deployment.admin().await;
    for id in gone {
        let coupons = admin.get(&format!("/v1/members/{id}/coupons")).await.expect("an answer");
        let coupons = states(&coupons, "coupons");
        assert!(coupons.is_empty() || coupons == ["CANCELLED"], "{coupons:?}");
    }
}

/// Sixty-four orders of one each, sixteen at a time; the sagas of all race.
async fn sixty_four(member: &Member, product: &Product) -> Vec<String> {
    stream::iter(0..64).map(|_| member.order(product, 1)).buffer_unordered(16).collect().await
}

/// How many orders ended how, once none is under way: `DELIVERING`, or why they were cancelled.
async fn ended(member: &Member, orders: &[String]) -> BTreeMap<&'static str, usize> {
    eventually("all orders at their end", async || {
        let look = async |id: &String| member.get(&format!("/v1/orders/{id}")).await;
        let mut answers = Vec::new();
        // Not all at once: what a busy gateway has too much of is refused.
        for some in orders.chunks(8) {
            answers.extend(join_all(some.iter().map(look)).await);
        }
        let mut ends = BTreeMap::new();
        for answer in answers {
            let end = match (answer.text("state").as_str(), answer.text("cancelReason").as_str()) {
                ("DELIVERING", _) => "DELIVERING",
                ("CANCELLED", "OUT_OF_STOCK") => "OUT_OF_STOCK",
                ("CANCELLED", "INSUFFICIENT_BALANCE") => "INSUFFICIENT_BALANCE",
                _ => return Err(answer.to_string()),
            };
            *ends.entry(end).or_default() += 1;
        }
        Ok(ends)
    })
    .await
}
