//! What sellers and admins do by hand: products go off sale, a stock is counted, and who did what
//! stands in a list.

use app::rest::{Answer, Rest};
use http::Method;
use serde_json::{Value, json};

use super::shop::refused;
use crate::{
    deployment::{Deployment, eventually},
    people::{same, with_status, won},
};

async fn patch(who: &Rest, path: &str, body: Value) -> anyhow::Result<Answer> {
    who.send(Method::PATCH, path, Some(body), &[]).await
}

async fn listed(who: &Rest) -> Vec<String> {
    let answer = who.get("/v1/products").await.expect("an answer");
    let products = answer.body["products"].as_array().cloned().unwrap_or_default();
    products.iter().map(|it| it["id"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_goes_off_sale_and_comes_back() {
    let deployment = Deployment::open("off_sale").await;
    let (seller, anyone) = (deployment.seller().await, deployment.rest());
    let member = deployment.member(10_000).await;
    let product = deployment.product(1_000, 10).await;
    let path = format!("/v1/products/{}", product.id);

    // What changes nothing is no change.
    let before = anyone.get(&path).await.expect("an answer");
    for nothing in [json!({}), json!({ "displayName": "Bibimbap", "state": "ON_SALE" })] {
        let same = with_status(200, patch(&seller, &path, nothing).await.expect("an answer"));
        assert_eq!(same.text("etag"), before.text("etag"), "{same}");
    }
    assert_eq!(deployment.events("product", Some(&product.id)).await, ["ProductRegistered"]);

    let off = json!({ "state": "OFF_SALE", "description": "Rice\nand more" });
    let off = with_status(200, patch(&seller, &path, off).await.expect("an answer"));
    assert_eq!(
        (off.text("state"), off.text("description")),
        ("OFF_SALE".into(), "Rice\nand more".into())
    );
    assert_eq!((listed(&anyone).await, listed(&seller).await.len()), (Vec::new(), 1));
    eventually("an order refused", async || {
        same(member.try_order(&product, 1).await.text("reason"), "NOT_ON_SALE".to_owned())
    })
    .await;
    let on = json!({ "state": "ON_SALE" });
    with_status(200, patch(&seller, &path, on).await.expect("an answer"));
    assert_eq!(listed(&anyone).await, std::slice::from_ref(&product.id));
    eventually("an order", async || same(member.try_order(&product, 1).await.status.as_u16(), 201))
        .await;
    let wrong = json!({ "state": "STATE_UNSPECIFIED" });
    let wrong = with_status(400, patch(&seller, &path, wrong).await.expect("an answer"));
    assert_eq!(wrong.text("violations/0/field"), "state", "{wrong}");
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_its_whole_story_and_a_member_is_found() {
    let deployment = Deployment::open("timeline").await;
    let (admin, seller) = (deployment.admin().await, deployment.seller().await);
    let member = deployment.member(5_000).await;
    let product = deployment.product(1_000, 10).await;
    let order = member.order(&product, 1).await;
    member.eventually_sees(&order, "DELIVERING").await;
    let path = format!("/v1/orders/{order}/timeline");
    let expected = [
        "order OrderPlaced CALL",
        "payment PaymentApproved EVENT",
        "order OrderPaid EVENT",
        "product StockDecreased EVENT",
        "order OrderPrepared EVENT",
        "delivery DeliveryStarted EVENT",
        "order OrderDelivering EVENT",
        "mileage MileageEarned EVENT",
        "notification MarketingNotificationSent MESSAGE",
    ];
    eventually("the order's story", async || {
        let story = admin.get(&path).await.expect("an answer");
        let entries = story.body["entries"].as_array().cloned().unwrap_or_default();
        let text = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
        let told = |it: &Value| ["service", "type", "kind"].map(|field| text(it, field)).join(" ");
        let told: Vec<String> = entries.iter().map(told).collect();
        let missing: Vec<_> = expected.iter().filter(|it| !told.contains(&(**it).into())).collect();
        // What led to another comes before it.
        let ids: Vec<String> = entries.iter().map(|it| text(it, "eventId")).collect();
        let turned = entries.iter().enumerate().filter(|(at, it)| {
            let cause = text(it, "causationId");
            !cause.is_empty() && !ids[..*at].contains(&cause)
        });
        let traces: std::collections::BTreeSet<_> =
            entries.iter().map(|it| text(it, "traceId")).collect();
        let away = story.body["unavailable"].clone();
        same((missing, turned.count(), traces.len(), away), (Vec::new(), 0, 1, json!([])))
    })
    .await;
    with_status(403, seller.get(&path).await.expect("an answer"));
    let nowhere = format!("/v1/orders/{}/timeline", uuid::Uuid::now_v7());
    with_status(404, admin.get(&nowhere).await.expect("an answer"));

    let email = admin.get(&format!("/v1/members/{}", member.id)).await.expect("an answer");
    let found = format!("/v1/members?query={}", &email.text("email")[..12]);
    let found = with_status(200, admin.get(&found).await.expect("an answer"));
    assert_eq!(found.text("members/0/id"), member.id, "{found}");
    with_status(403, seller.get("/v1/members").await.expect("an answer"));
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_by_hand_stands_in_a_list_with_who_and_why() {
    let deployment = Deployment::open("audit").await;
    let (admin, seller) = (deployment.admin().await, deployment.seller().await);
    let member = deployment.member(1_000).await;
    let product = deployment.product(1_000, 10).await;
    let post = async |who: &Rest, path: String, body: Value| {
        with_status(200, who.post(&path, body).await.expect("an answer"))
    };

    let wallet = format!("/v1/members/{}/wallet:adjust", member.id);
    post(&admin, wallet, json!({ "amount": won(-100), "reason": "a mistake" })).await;
    let stock = format!("/v1/products/{}:adjustStock", product.id);
    let counted = json!({ "delta": -3, "reason": "counted" });
    assert_eq!(post(&seller, stock.clone(), counted).await.number("stock"), Some(7));
    let below = json!({ "delta": -8, "reason": "counted" });
    refused(409, "INSUFFICIENT_STOCK", &seller.post(&stock, below).await.expect("an answer"));
    let order = member.order_by_card(&product, 1).await.text("id");
    post(&seller, format!("/v1/orders/{order}:cancel"), json!({ "reason": "broken" })).await;
    for verb in ["grantRole", "revokeRole"] {
        let path = format!("/v1/members/{}:{verb}", member.id);
        post(&admin, path, json!({ "role": "SELLER" })).await;
    }

    let list = async |query: String| {
        let answer = admin.get(&format!("/v1/auditEntries{query}")).await.expect("an answer");
        let entries = answer.body["entries"].as_array().cloned().unwrap_or_default();
        let one = |it: &Value| {
            let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
            [text("action"), text("reason"), text("change")].join("|")
        };
        let mut seen: Vec<String> = entries.iter().map(one).collect();
        seen.sort();
        seen
    };
    let of_member =
        ["ROLE_GRANTED||SELLER", "ROLE_REVOKED||SELLER", "WALLET_ADJUSTED|a mistake|-100 KRW"];
    let about = |id: &str| format!("?subjectId={id}");
    eventually("what was done to the member", async || {
        same(list(about(&member.id)).await, of_member.map(str::to_owned).to_vec())
    })
    .await;
    eventually("what was done to the product and the order", async || {
        let seen = [list(about(&product.id)).await, list(about(&order)).await].concat();
        same(seen, vec!["STOCK_ADJUSTED|counted|-3".into(), "ORDER_CANCELLED|broken|".into()])
    })
    .await;
    with_status(403, seller.get("/v1/auditEntries").await.expect("an answer"));
    deployment.all_holds().await;
}
