//! After the order: a delivery goes to an address, with a carrier, and arrives; and an order that nobody
//! closes closes by itself.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use app::rest::{Answer, Rest};
use aws_lc_rs::hmac;
use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::shop::refused;
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, with_status},
};

const SECRET: &str = "what the carrier and we know";

async fn open(story: &str) -> Deployment {
    let secret = ("HANSANG__SERVICE__DELIVERY__CARRIERS__CJ__SECRET", SECRET.to_owned());
    Deployment::split_with(story, &[("HANSANG__TESTING__CLOCK", "true".to_owned()), secret]).await
}

impl Member {
    /// A new address of theirs.
    async fn address(&self, line1: &str) -> String {
        let body = json!({
            "recipient": "김한상", "phone": "010-1234-5678", "postcode": "04524", "line1": line1,
        });
        let path = format!("/v1/members/{}/addresses", self.id);
        let made = with_status(201, self.rest.post(&path, body).await.expect("an answer"));
        assert_eq!(made.headers["location"], format!("{path}/{}", made.text("id")));
        made.text("id")
    }

    async fn order_to(&self, product: &Product, method: &str, address: &str) -> Answer {
        let body = json!({
            "paymentMethod": method, "cardToken": "tok_visa", "addressId": address,
            "lines": [{ "productId": product.id, "quantity": 1 }],
        });
        self.rest.post("/v1/orders", body).await.expect("an answer")
    }

    async fn delivery(&self, order: &str) -> Answer {
        let list = self.get(&format!("/v1/deliveries?orderId={order}")).await;
        self.get(&format!("/v1/deliveries/{}", list.text("deliveries/0/id"))).await
    }

    /// An order that is on its way, and its delivery.
    async fn on_its_way(&self, product: &Product) -> (String, String) {
        let order = self.order(product, 1).await;
        self.eventually_sees(&order, "DELIVERING").await;
        let delivery = self.delivery(&order).await.text("id");
        (order, delivery)
    }

    async fn shown(&self, order: &str) -> Answer {
        self.get(&format!("/v1/mypage/{}/orders/{order}", self.id)).await
    }
}

pub(crate) async fn dispatch(seller: &Rest, delivery: &str, number: &str) -> Answer {
    let body = json!({ "carrier": "cj", "trackingNumber": number });
    seller.post(&format!("/v1/deliveries/{delivery}:dispatch"), body).await.expect("an answer")
}

pub(crate) async fn arrived(seller: &Rest, delivery: &str) -> Answer {
    let path = format!("/v1/deliveries/{delivery}:markDelivered");
    seller.post(&path, json!({})).await.expect("an answer")
}

/// What a carrier says, signed with this secret.
async fn notice(anyone: &Rest, carrier: &str, secret: &str, body: Value) -> Answer {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let mut signature = String::new();
    for byte in tag.as_ref() {
        write!(signature, "{byte:02x}").expect("a string takes it");
    }
    let headers = [("X-Hansang-Timestamp", &*now), ("X-Hansang-Signature", &*signature)];
    let path = format!("/v1/carriers/{carrier}/webhook");
    anyone.send(Method::POST, &path, Some(body), &headers).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_to_an_address_of_which_the_delivery_has_a_copy() {
    let deployment = open("addresses").await;
    let (seller, admin) = (deployment.seller().await, deployment.admin().await);
    let product = deployment.product(1_000, 10).await;
    let (member, other) = (deployment.member(1_000).await, deployment.member(0).await);
    let home = member.address("세종대로 110").await;
    let foreign = other.order_to(&product, "CARD", &home).await;
    assert_eq!(with_status(400, foreign).text("violations/0/field"), "addressId");
    let path = format!("/v1/members/{}/addresses/{home}", member.id);
    with_status(404, other.get(&path).await);
    with_status(404, admin.get(&path).await.expect("an answer"));

    let order = with_status(201, member.order_to(&product, "WALLET", &home).await).text("id");
    let deleted = member.rest.send(Method::DELETE, &path, None, &[]).await;
    with_status(200, deleted.expect("an answer"));
    with_status(404, member.get(&path).await);
    let gone = member.order_to(&product, "CARD", &home).await;
    assert_eq!(with_status(400, gone).text("violations/0/field"), "addressId");
    member.eventually_sees(&order, "DELIVERING").await;
    eventually("the address of the delivery", async || {
        same(member.delivery(&order).await.text("address/line1"), "세종대로 110".into())
    })
    .await;
    eventually("the address on My Page", async || {
        same(member.shown(&order).await.text("address/line1"), "세종대로 110".into())
    })
    .await;
    let delivery = member.delivery(&order).await.text("id");
    let path = format!("/v1/deliveries/{delivery}");
    let seen = with_status(200, seller.get(&path).await.expect("an answer"));
    assert_eq!(seen.text("address/recipient"), "김한상");
    with_status(404, other.get(&path).await);
    for service in ["order", "delivery", "mypage"] {
        let database = deployment.database(service).await;
        let sql = "select count(*) from event where convert_from(payload, 'LATIN1') like $1";
        let said: String = "세종대로".bytes().map(char::from).collect();
        let row = database.query_one(sql, &[&format!("%{said}%")]).await.expect("counts");
        assert_eq!(row.get::<_, i64>(0), 0, "an event of {service} says where somebody lives");
    }

    with_status(200, member.confirm_receipt(&order).await);
    let withdrawn = admin.post(&format!("/v1/members/{}:withdraw", member.id), json!({})).await;
    with_status(200, withdrawn.expect("an answer"));
    deployment.time_passes("member", Duration::from_hours(5 * 24)).await;
    eventually("the address erased", async || {
        same(seller.get(&path).await.expect("an answer").text("address"), String::new())
    })
    .await;
    let shown = format!("/v1/mypage/{}/orders/{order}", member.id);
    eventually("the address erased from My Page", async || {
        same(admin.get(&shown).await.expect("an answer").text("address"), String::new())
    })
    .await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_down_holds_up_only_orders_to_an_address_and_delivery_down_none() {
    let mut deployment = open("addresses_down").await;
    let product = deployment.product(1_000, 10).await;
    let member = deployment.member(3_000).await;
    let home = member.address("세종대로 110").await;
    deployment.kill("member");
    for method in ["WALLET", "CARD"] {
        refused_for_now(&member.order_to(&product, method, &home).await);
    }
    member.order(&product, 1).await;
    assert_eq!(member.get("/v1/orders").await.body["orders"].as_array().map(Vec::len), Some(1));
    deployment.start("member").await;

    deployment.kill("delivery");
    let order = eventually("an order", async || {
        let placed = member.order_to(&product, "WALLET", &home).await;
        if placed.status == 201 { Ok(placed.text("id")) } else { Err(placed.to_string()) }
    })
    .await;
    member.eventually_sees(&order, "PREPARED").await;
    deployment.start("delivery").await;
    member.eventually_sees(&order, "DELIVERING").await;
    eventually("the address of the delivery", async || {
        same(member.delivery(&order).await.text("address/line1"), "세종대로 110".into())
    })
    .await;
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_dispatched_and_its_carrier_says_that_it_has_arrived() {
    let deployment = open("parcels").await;
    let (seller, admin, anyone) =
        (deployment.seller().await, deployment.admin().await, deployment.rest());
    let product = deployment.product(1_000, 10).await;
    let member = deployment.member(5_000).await;
    let (order, delivery) = member.on_its_way(&product).await;
    let delivered = json!({ "trackingNumber": "1234-5678", "status": "DELIVERED" });
    refused(404, "UNKNOWN_PARCEL", &notice(&anyone, "cj", SECRET, delivered.clone()).await);
    refused(409, "NOT_DISPATCHED", &arrived(&seller, &delivery).await);
    with_status(403, dispatch(&member.rest, &delivery, "1").await);

    let sent = with_status(200, dispatch(&seller, &delivery, "1234-5678").await);
    assert_eq!((sent.text("state"), sent.text("carrier")), ("DISPATCHED".into(), "cj".into()));
    assert_eq!(dispatch(&seller, &delivery, "1234-5678").await.body, sent.body);
    refused(409, "ALREADY_DISPATCHED", &dispatch(&seller, &delivery, "1").await);
    refused(409, "ORDER_DISPATCHED", &member.cancel(&order).await);
    let listed = seller.get("/v1/deliveries?state=DISPATCHED").await.expect("an answer");
    assert_eq!(listed.text("deliveries/0/id"), delivery);

    refused(401, "BAD_SIGNATURE", &notice(&anyone, "dhl", SECRET, delivered.clone()).await);
    refused(401, "BAD_SIGNATURE", &notice(&anyone, "cj", "a guess", delivered.clone()).await);
    for _ in 0..2 {
        with_status(200, notice(&anyone, "cj", SECRET, delivered.clone()).await);
    }
    member.eventually_sees(&order, "DELIVERED").await;
    assert_eq!(with_status(200, arrived(&seller, &delivery).await).text("state"), "DELIVERED");
    refused(409, "ORDER_DISPATCHED", &member.cancel(&order).await);
    with_status(200, member.confirm_receipt(&order).await);
    let labels = ["주문접수", "입금확인완료", "상품준비완료", "배송중", "배송완료", "수령확인"];
    member.eventually_passed(&order, &labels).await;
    let shown = member.shown(&order).await;
    assert_eq!(shown.text("carrier") + &shown.text("trackingNumber"), "cj1234-5678");
    assert_eq!(shown.text("history/5/closeReason"), "MEMBER_CONFIRMED");
    eventually("two messages to the member", async || {
        let path = format!("/v1/notifications?subjectId={order}&audience=MEMBER");
        let told = admin.get(&path).await.expect("an answer");
        let told = told.body["notifications"].as_array().map(Vec::len);
        same(told, Some(2))
    })
    .await;

    // The shop takes back what is on its way.
    let (order, delivery) = member.on_its_way(&product).await;
    with_status(200, dispatch(&seller, &delivery, "2").await);
    let cancelled = seller.post(&format!("/v1/orders/{order}:cancel"), json!({})).await;
    with_status(200, cancelled.expect("an answer"));
    member.eventually_gets(&order, "CANCELLED").await;
    refused(409, "ORDER_CANCELLED", &arrived(&seller, &delivery).await);
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_nobody_closes_closes_by_itself() {
    let deployment = open("closing").await;
    let seller = deployment.seller().await;
    let product = deployment.product(1_000, 10).await;
    let member = deployment.member(5_000).await;
    let (silent, _) = member.on_its_way(&product).await;
    let (told, delivery) = member.on_its_way(&product).await;
    let day = Duration::from_hours(24);
    deployment.time_passes("order", 20 * day).await;
    with_status(200, dispatch(&seller, &delivery, "1").await);
    with_status(200, arrived(&seller, &delivery).await);
    member.eventually_sees(&told, "DELIVERED").await;
    assert_eq!(member.order_state(&silent).await, "DELIVERING");
    deployment.time_passes("order", day).await;
    member.eventually_sees(&silent, "CLOSED").await;
    deployment.time_passes("order", 5 * day).await;
    assert_eq!(member.order_state(&told).await, "DELIVERED");
    deployment.time_passes("order", day).await;
    member.eventually_sees(&told, "CLOSED").await;
    for (order, at, reason) in [(&silent, 4, "DAYS_AFTER_START"), (&told, 5, "DAYS_AFTER_DELIVERY")]
    {
        eventually("why it is closed", async || {
            let reasons = member.shown(order).await.text(&format!("history/{at}/closeReason"));
            same(reasons, reason.to_owned())
        })
        .await;
        member.eventually_gets(order, "COMPLETED").await;
        refused(409, "ORDER_CLOSED", &member.cancel(order).await);
    }
    deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_dispatch_and_a_cancellation_exactly_one_wins() {
    let deployment = open("race_dispatch").await;
    let seller = deployment.seller().await;
    let product = deployment.product(1_000, 1_000).await;
    let member = deployment.member(100_000).await;
    let round = async |number: usize| {
        let (order, delivery) = member.on_its_way(&product).await;
        let number = number.to_string();
        let (sent, cancelled) =
            tokio::join!(dispatch(&seller, &delivery, &number), member.cancel(&order));
        match (sent.status.as_u16(), cancelled.status.as_u16()) {
            (200, 409) => 1,
            (409, 200) => 0,
            _ => panic!("not one of them: {sent} {cancelled}"),
        }
    };
    let mut sent = 0;
    for number in 0..10 {
        sent += join_all((0..5).map(|it| round(number * 5 + it))).await.into_iter().sum::<i64>();
    }
    println!("{sent} of 50 were dispatched");
    product.eventually_has(1_000 - sent).await;
    deployment.all_holds().await;
}
