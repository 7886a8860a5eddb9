//! Parts of an order are taken back: lines are cancelled before they are dispatched, and what has arrived
//! is returned. Each gives back its exact share of what was paid, and the rest goes on.

use app::rest::{Answer, Rest};
use serde_json::{Value, json};

use super::{
    checkout::{Shop, units},
    deliveries::{arrived, dispatch},
    shop::{confirm, refused},
};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, with_status, won},
};

/// Cancels pieces of an order.
async fn cancel_lines(who: &Rest, order: &str, product: &Product, quantity: i32) -> Answer {
    let body = json!({ "lines": [{ "productId": product.id, "quantity": quantity }] });
    who.post(&format!("/v1/orders/{order}:cancelLines"), body).await.expect("an answer")
}

impl Member {
    async fn ask_return(&self, order: &str, product: &Product, quantity: i32) -> Answer {
        let body = json!({
            "lines": [{ "productId": product.id, "quantity": quantity }], "reason": "too hot",
        });
        let path = format!("/v1/orders/{order}/returns");
        self.rest.post(&path, body).await.expect("an answer")
    }

    /// What went back of an order, or is going back: tender and amount.
    async fn refunds(&self, order: &str) -> Vec<(String, i64)> {
        let payments = self.get(&format!("/v1/payments?orderId={order}")).await;
        let refunds = payments.body["payments"][0]["refunds"].as_array().cloned();
        let refund = |it: &Value| {
            (it["tender"].as_str().unwrap_or_default().to_owned(), units(&it["amount"]))
        };
        let mut refunds: Vec<_> = refunds.unwrap_or_default().iter().map(refund).collect();
        refunds.sort();
        refunds
    }

    /// What an order's member may do with it, as order says; My Page soon says the same.
    async fn may(&self, order: &str) -> Vec<String> {
        let actions = |answer: &Answer| {
            let actions = answer.body["allowedActions"].as_array().cloned().unwrap_or_default();
            let mut actions: Vec<String> =
                actions.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect();
            actions.sort();
            actions
        };
        let said = actions(&self.get(&format!("/v1/orders/{order}")).await);
        eventually("the same actions on My Page", async || {
            let path = format!("/v1/mypage/{}/orders/{order}", self.id);
            same(actions(&self.get(&path).await), said.clone())
        })
        .await;
        said
    }

    /// The first line of an order on My Page: bought, cancelled, returned.
    async fn eventually_shows(&self, order: &str, counts: [i64; 3]) {
        let path = format!("/v1/mypage/{}/orders/{order}", self.id);
        eventually("the pieces that were taken back", async || {
            let shown = self.get(&path).await;
            let line = &shown.body["lines"][0];
            let count = |field: &str| line[field].as_i64().unwrap_or_default();
            same(["quantity", "cancelledQuantity", "returnedQuantity"].map(count), counts)
        })
        .await;
    }

    /// An order that has arrived.
    async fn delivered(&self, seller: &Rest, order: &str) {
        self.eventually_sees(order, "DELIVERING").await;
        let list = self.get(&format!("/v1/deliveries?orderId={order}")).await;
        let delivery = list.text("deliveries/0/id");
        with_status(200, dispatch(seller, &delivery, order).await);
        with_status(200, arrived(seller, &delivery).await);
        self.eventually_sees(order, "DELIVERED").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_lines_give_back_their_exact_share_of_all_that_pays() {
    let shop = Shop::open("parts_cancelled", 2_000).await;
    let member = &shop.member;
    let stock = shop.product.stock().await.expect("it is on sale");
    let paid = json!({
        "paymentMethod": "CARD", "cardToken": "tok_1", "couponId": shop.coupon, "points": 1_000,
        "walletAmount": won(2_000),
    });
    let order = with_status(201, shop.order(paid).await).text("id");
    shop.eventually_holds("REDEEMED", 60).await;
    shop.product.eventually_has(stock - 10).await;
    let cancelled = with_status(200, cancel_lines(&member.rest, &order, &shop.product, 3).await);
    assert_eq!(cancelled.body["lines"][0]["cancelledQuantity"], 3);
    let back = [("CARD".to_owned(), 1_200), ("WALLET".to_owned(), 600)];
    assert_eq!((member.refunds(&order).await, member.balance().await), (back.to_vec(), Some(600)));
    shop.product.eventually_has(stock - 7).await;
    // 300 points are back, and of 4,200 won that are still paid 42 were earned.
    shop.eventually_holds("REDEEMED", 342).await;
    member.eventually_shows(&order, [10, 3, 0]).await;
    refused(409, "LINES_TAKEN", &cancel_lines(&member.rest, &order, &shop.product, 8).await);

    // All that is left is the order, and its coupon comes back.
    let cancelled = with_status(200, cancel_lines(&member.rest, &order, &shop.product, 7).await);
    assert_eq!(cancelled.body["state"], "CANCELLED");
    shop.eventually_holds("ISSUED", 1_000).await;
    shop.product.eventually_has(stock).await;
    let back: i64 = member.refunds(&order).await.iter().map(|(_, amount)| amount).sum();
    assert_eq!((back, member.balance().await), (6_000, Some(2_000)));
    assert_eq!(member.may(&order).await, [""; 0]);
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_is_waited_for_is_smaller_once_lines_are_cancelled() {
    let deployment = Deployment::open("parts_deposit").await;
    let seller = deployment.seller().await;
    let product = deployment.product(1_000, 100).await;
    let member = deployment.member(0).await;
    let order = member.order_by_transfer(&product, 10).await;
    member.eventually_sees(&order, "AWAITING_DEPOSIT").await;
    assert_eq!(member.may(&order).await, ["CANCEL", "CANCEL_LINES", "PAY_DEPOSIT"]);
    with_status(200, cancel_lines(&member.rest, &order, &product, 4).await);
    let (state, due, _) = member.payment(&order).await;
    assert_eq!((&*state, due), ("WAITING_FOR_DEPOSIT", 6_000));

    let payment = member.get(&format!("/v1/payments?orderId={order}")).await.text("payments/0/id");
    // That was due before.
    with_status(400, confirm(&seller, &payment, 10_000).await);
    with_status(200, confirm(&seller, &payment, 6_000).await);
    assert_eq!(product.stock().await, Some(94), "what is left was taken in the same call");
    member.eventually_sees(&order, "DELIVERING").await;
    refused(409, "DEPOSIT_CONFIRMED", &cancel_lines(&member.rest, &order, &product, 1).await);
    assert_eq!(member.may(&order).await, ["CONFIRM_RECEIPT"]);

    // The shop can, and the money goes to the wallet.
    with_status(200, cancel_lines(&seller, &order, &product, 2).await);
    assert_eq!(member.balance().await, Some(2_000));
    product.eventually_has(96).await;
    member.eventually_shows(&order, [10, 6, 0]).await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_arrived_comes_back_and_so_does_its_share() {
    let shop = Shop::open("parts_returned", 0).await;
    let (member, seller) = (&shop.member, shop.deployment.seller().await);
    let stock = shop.product.stock().await.expect("it is on sale");
    let paid = json!({ "paymentMethod": "CARD", "cardToken": "tok_1", "points": 1_000 });
    let order = with_status(201, shop.order(paid).await).text("id");
    refused(409, "NOT_DELIVERED", &member.ask_return(&order, &shop.product, 1).await);
    member.delivered(&seller, &order).await;
    assert_eq!(member.may(&order).await, ["CONFIRM_RECEIPT", "REQUEST_RETURN"]);
    refused(409, "ORDER_DISPATCHED", &cancel_lines(&member.rest, &order, &shop.product, 1).await);

    let asked = with_status(201, member.ask_return(&order, &shop.product, 4).await);
    let (wanted, path) = (asked.text("id"), format!("/v1/orders/{order}/returns"));
    assert_eq!(asked.body["state"], "REQUESTED");
    let other = with_status(201, member.ask_return(&order, &shop.product, 6).await).text("id");
    refused(409, "LINES_TAKEN", &member.ask_return(&order, &shop.product, 1).await);
    let foreign = shop.deployment.member(0).await;
    with_status(404, foreign.rest.get(&path).await.expect("an answer"));
    let accept = format!("/v1/returns/{wanted}:accept");
    with_status(403, member.rest.post(&accept, json!({})).await.expect("an answer"));

    let body = json!({ "reason": "it was eaten" });
    let reject = format!("/v1/returns/{other}:reject");
    with_status(200, seller.post(&reject, body).await.expect("an answer"));
    for _ in 0..2 {
        let accepted = with_status(200, seller.post(&accept, json!({})).await.expect("an answer"));
        assert_eq!(accepted.body["state"], "ACCEPTED");
        assert_eq!(units(&accepted.body["refunded"]), 3_600);
        assert_eq!(accepted.body["pointsRestored"], "400");
    }
    assert_eq!(member.refunds(&order).await, [("CARD".to_owned(), 3_600)]);
    shop.product.eventually_has(stock - 6).await;
    // 400 of 1,000 points are back, and 54 of 90 that were earned are left.
    shop.eventually_holds("ISSUED", 454).await;
    member.eventually_shows(&order, [10, 0, 4]).await;
    let shown = member.get(&format!("/v1/mypage/{}/orders/{order}", member.id)).await;
    let states = [&shown.body["returns"][0]["state"], &shown.body["returns"][1]["state"]];
    assert_eq!(states, ["ACCEPTED", "REJECTED"]);
    assert_eq!(shown.body["paymentState"], "DONE", "the rest stays paid");

    // A closed order stays closed, whatever is returned.
    let confirm = format!("/v1/orders/{order}:confirmReceipt");
    with_status(200, member.rest.post(&confirm, json!({})).await.expect("an answer"));
    let last = with_status(201, member.ask_return(&order, &shop.product, 6).await).text("id");
    let accept = format!("/v1/returns/{last}:accept");
    with_status(200, seller.post(&accept, json!({})).await.expect("an answer"));
    shop.product.eventually_has(stock).await;
    shop.eventually_holds("ISSUED", 1_000).await;
    let order = member.get(&format!("/v1/orders/{order}")).await;
    assert_eq!(
        (&order.body["state"], &order.body["lines"][0]["returnedQuantity"]),
        (&json!("CLOSED"), &json!(10))
    );
    shop.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_payment_stopped_nothing_is_cancelled_and_later_it_works() {
    let mut deployment = Deployment::split("parts_stopped").await;
    let product = deployment.product(1_000, 100).await;
    let member = deployment.member(10_000).await;
    let order = member.order(&product, 10).await;
    member.eventually_sees(&order, "DELIVERING").await;
    deployment.kill("payment");
    refused_for_now(&cancel_lines(&member.rest, &order, &product, 3).await);
    deployment.start("payment").await;
    // Whatever became of the first, which may still be under way.
    eventually("three pieces cancelled, once", async || {
        let order = member.get(&format!("/v1/orders/{order}")).await;
        if order.body["lines"][0]["cancelledQuantity"] == 3 {
            return Ok(());
        }
        let answer = cancel_lines(&member.rest, order.text("id").as_str(), &product, 3).await;
        if answer.status.is_success() { Ok(()) } else { Err(answer.body.to_string()) }
    })
    .await;
    assert_eq!(member.balance().await, Some(3_000));
    product.eventually_has(93).await;
    deployment.all_holds().await;
}
