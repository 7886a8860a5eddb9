//! The mealkit story: goods bought by card. Nothing is ordered while payment is
//! away; all that follows a payment waits for whoever is.

use app::rest::Rest;
use futures_util::future::join_all;
use http::Method;
use serde_json::json;

use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, with_status, won},
};

const PRICE: i64 = 12_000;
const STOCK: i64 = 100;
/// What My Page shows of an order that is on its way.
const ON_ITS_WAY: [&str; 4] = ["주문접수", "입금확인완료", "상품준비완료", "배송중"];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_product_is_paid_by_card_delivered_and_received() {
    let deployment = Deployment::open("card").await;
    let (member, admin) = (deployment.member(0).await, deployment.admin().await);
    let body = json!({ "displayName": "밀키트", "price": won(PRICE), "stock": STOCK });
    with_status(403, member.rest.post("/v1/products", body.clone()).await.expect("an answer"));
    let product = deployment.product(PRICE, STOCK).await;

    let placed = member.order_by_card(&product, 3).await;
    let order = placed.text("id");
    assert_eq!(placed.number("total/units"), Some(3 * PRICE));
    assert_eq!(member.payments(&order).await, ["DONE"]);
    product.eventually_has(STOCK - 3).await;
    member.eventually_gets(&order, "STARTED").await;
    eventually_told(&admin, &order).await;
    member.eventually_passed(&order, &ON_ITS_WAY).await;

    let received = [&ON_ITS_WAY[..], &["수령확인"]].concat();
    for _ in 0..3 {
        let closed = member.confirm_receipt(&order).await;
        assert_eq!(with_status(200, closed).text("state"), "CLOSED");
        member.eventually_gets(&order, "COMPLETED").await;
        member.eventually_passed(&order, &received).await;
    }
    assert_eq!(
        deployment.events("delivery", Some(&order)).await,
        ["DeliveryStarted", "DeliveryCompleted"]
    );
    let late = with_status(409, member.cancel(&order).await);
    assert_eq!((late.text("state"), product.stock().await), (String::new(), Some(STOCK - 3)));
    assert_eq!(member.payments(&order).await, ["DONE"]);
    assert_eq!(told(&admin, &order).await.len(), 1);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_paid_leaves_nothing() {
    let mut deployment = Deployment::split("card_unpaid").await;
    let (member, product) = (deployment.member(0).await, deployment.product(PRICE, STOCK).await);
    let logs = async |deployment: &Deployment| {
        join_all(["order", "payment", "product"].map(|service| deployment.events(service, None)))
            .await
    };
    let before = logs(&deployment).await;

    let declined = member.try_order_by_card(&product, 1, "tok_declined").await;
    assert_eq!(with_status(409, declined).text("reason"), "CARD_DECLINED");
    nothing_remains(&deployment, &member, &product).await;
    let after = logs(&deployment).await;
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));

    deployment.kill("payment");
    let order = async |key: &str| {
        let lines = json!([{ "productId": product.id, "quantity": 1 }]);
        let body = json!({ "paymentMethod": "CARD", "cardToken": "tok_visa", "lines": lines });
        let headers = [("idempotency-key", key)];
        let placed = member.rest.send(Method::POST, "/v1/orders", Some(body), &headers).await;
        placed.expect("an answer")
    };
    for key in ["one", "two", "one"] {
        refused_for_now(&order(key).await);
    }
    deployment.start("payment").await;
    nothing_remains(&deployment, &member, &product).await;
    assert_eq!(logs(&deployment).await, after);

    // The same command, once it can be carried out.
    let placed = eventually("the order taken", async || {
        let answer = order("one").await;
        if answer.status == 201 { Ok(answer.text("id")) } else { Err(answer.to_string()) }
    })
    .await;
    assert_eq!(with_status(201, order("one").await).text("id"), placed);
    assert_eq!(member.payments(&placed).await, ["DONE"]);
    product.eventually_has(STOCK - 1).await;
    let orders = member.get("/v1/orders").await;
    assert_eq!(orders.body["orders"].as_array().map(Vec::len), Some(1), "{orders}");
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_waits_for_notification_and_has_the_text_of_now() {
    let mut deployment = Deployment::split("messages").await;
    let (member, product) = (deployment.member(0).await, deployment.product(PRICE, STOCK).await);
    let admin = deployment.admin().await;
    let template = "/v1/notificationTemplates/payment-approved";
    let edit = async |rest: &Rest, body: &str| {
        let body = Some(json!({ "body": body }));
        rest.send(Method::PATCH, template, body, &[]).await.expect("an answer")
    };
    let first = member.order_by_card(&product, 1).await.text("id");
    let old = eventually_told(&admin, &first).await;
    assert!(old.contains(&first), "{old}");

    with_status(403, edit(&member.rest, "free meals").await);
    let edited = with_status(200, edit(&admin, "Thank you for {orderId}!").await);
    assert_eq!(edited.text("body"), "Thank you for {orderId}!");
    let second = member.order_by_card(&product, 1).await.text("id");
    assert_eq!(eventually_told(&admin, &second).await, format!("Thank you for {second}!"));

    with_status(200, edit(&admin, "{orderId} is on its way").await);
    deployment.kill("notification");
    let third = member.order_by_card(&product, 1).await.text("id");
    member.eventually_sees(&third, "DELIVERING").await;
    member.eventually_passed(&third, &ON_ITS_WAY).await;
    deployment.start("notification").await;
    assert_eq!(eventually_told(&admin, &third).await, format!("{third} is on its way"));

    // Once each, also for what was read again; and what was sent stays as it was.
    deployment.kill("notification");
    deployment.start("notification").await;
    let fourth = member.order_by_card(&product, 1).await.text("id");
    eventually_told(&admin, &fourth).await;
    assert_eq!(told(&admin, &third).await.len(), 1);
    assert_eq!(told(&admin, &first).await, [old]);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_before_the_receipt_gives_everything_back_once() {
    let deployment = Deployment::open("card_cancelled").await;
    let (member, product) = (deployment.member(0).await, deployment.product(PRICE, STOCK).await);
    let order = member.order_by_card(&product, 3).await.text("id");
    member.eventually_sees(&order, "DELIVERING").await;
    product.eventually_has(STOCK - 3).await;

    for answer in join_all((0..4).map(|_| member.cancel(&order))).await {
        assert_eq!(with_status(200, answer).text("state"), "CANCELLED");
    }
    assert_eq!(member.payments(&order).await, ["CANCELLED"]);
    product.eventually_has(STOCK).await;
    member.eventually_gets(&order, "CANCELLED").await;
    with_status(200, member.cancel(&order).await);
    with_status(409, member.confirm_receipt(&order).await);
    let history = [&ON_ITS_WAY[..], &["주문취소"]].concat();
    member.eventually_passed(&order, &history).await;

    assert_eq!(product.stock().await, Some(STOCK));
    for (service, events) in [
        ("payment", &["PaymentApproved", "PaymentCancelled", "PaymentRefunded"][..]),
        ("product", &["StockDecreased", "StockRestored"]),
        ("delivery", &["DeliveryStarted", "DeliveryCancelled"]),
    ] {
        eventually(&format!("{events:?}"), async || {
            let wanted = events.iter().map(ToString::to_string).collect::<Vec<_>>();
            same(deployment.events(service, Some(&order)).await, wanted)
        })
        .await;
    }
    deployment.all_holds().await;
}

/// No list knows of an order of the member, of a charge, or of a unit taken.
async fn nothing_remains(deployment: &Deployment, member: &Member, product: &Product) {
    let seller = deployment.seller().await;
    for who in [&member.rest, &seller] {
        let orders = with_status(200, who.get("/v1/orders").await.expect("an answer"));
        assert_eq!(orders.body["orders"], json!([]));
        for state in ["DONE", "AUTHORISING"] {
            let path = format!("/v1/payments?state={state}");
            let payments = with_status(200, who.get(&path).await.expect("an answer"));
            assert_eq!(payments.body["payments"], json!([]));
        }
    }
    let page = member.get(&format!("/v1/mypage/{}/orders", member.id)).await;
    assert_eq!((page.body["orders"].clone(), product.stock().await), (json!([]), Some(STOCK)));
}

/// The texts of the marketing messages about an order.
async fn told(admin: &Rest, order: &str) -> Vec<String> {
    let path = format!("/v1/notifications?audience=MARKETING&subjectId={order}");
    let answer = with_status(200, admin.get(&path).await.expect("an answer"));
    let messages = answer.body["notifications"].as_array().cloned().unwrap_or_default();
    messages.iter().map(|message| message["body"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The text of the one marketing message about an order.
async fn eventually_told(admin: &Rest, order: &str) -> String {
    eventually("one marketing message", async || {
        let mut texts = told(admin, order).await;
        same(texts.len(), 1)?;
        Ok(texts.remove(0))
    })
    .await
}
