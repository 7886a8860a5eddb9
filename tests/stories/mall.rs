//! The mall story: ordered at once, paid by bank transfer; the seller confirms the
//! deposit, which takes the goods from the stock in the same call.

use std::time::Duration;

use app::rest::{Answer, Rest};
use serde_json::json;

use super::shop::{self, refused};
use crate::{
    deployment::{Deployment, eventually},
    people::{Member, Product, refused_for_now, same, with_status, won},
};

const PRICE: i64 = 12_000;
const STOCK: i64 = 10_000;
const QUANTITY: i64 = 3;
const TOTAL: i64 = PRICE * QUANTITY;
/// What a confirmed order passes.
const PASSED: [&str; 5] = ["주문접수", "입금확인대기", "입금확인완료", "상품준비완료", "배송중"];

/// A product on sale, somebody who buys, and the seller.
struct Mall {
    deployment: Deployment,
    product: Product,
    member: Member,
    seller: Rest,
}

impl Mall {
    async fn open(story: &str) -> Self {
        Self::on(Deployment::open(story).await).await
    }

    /// With one process per service.
    async fn split(story: &str) -> Self {
        Self::on(Deployment::split(story).await).await
    }

    async fn on(deployment: Deployment) -> Self {
        let product = deployment.product(PRICE, STOCK).await;
        let (member, seller) = (deployment.member(0).await, deployment.seller().await);
        Self { deployment, product, member, seller }
    }

    async fn transfer(&self) -> shop::Transfer {
        self.member.transfer(&self.product, QUANTITY).await
    }

    async fn confirm(&self, payment: &str) -> Answer {
        shop::confirm(&self.seller, payment, TOTAL).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_while_payment_is_down_and_waits_for_its_deposit_afterwards() {
    let mut mall = Mall::split("mall_without_payment").await;
    mall.deployment.kill("payment");
    let order = mall.member.order_by_transfer(&mall.product, QUANTITY).await;
    mall.member.eventually_passed(&order, &PASSED[..1]).await;
    assert_eq!(mall.member.order_state(&order).await, "PLACED");

    mall.deployment.start("payment").await;
    mall.member.eventually_passed(&order, &PASSED[..2]).await;
    let payment = mall.member.get(&format!("/v1/payments?orderId={order}")).await;
    assert_eq!(payment.text("payments/0/state"), "WAITING_FOR_DEPOSIT", "{payment}");
    assert_eq!(payment.number("payments/0/amount/units"), Some(TOTAL), "{payment}");
    for field in ["depositReference", "depositDueTime"] {
        assert_ne!(payment.text(&format!("payments/0/{field}")), "", "{payment}");
    }
    assert_eq!(mall.product.stock().await, Some(STOCK));
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_deposit_has_taken_the_stock_when_the_call_returns() {
    let mall = Mall::open("mall_deposit").await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    let confirmed = with_status(200, mall.confirm(&payment).await);
    assert_eq!(confirmed.text("state"), "DONE", "{confirmed}");
    assert_eq!(mall.product.stock().await, Some(STOCK - QUANTITY));
    mall.member.eventually_passed(&order, &PASSED).await;
    mall.member.eventually_gets(&order, "STARTED").await;
    mall.member.eventually_sees(&order, "DELIVERING").await;

    // However often it is confirmed, it happens once.
    let again = with_status(200, mall.confirm(&payment).await);
    assert_eq!(again.body, confirmed.body);
    let receipt = mall.member.confirm_receipt(&order).await;
    assert_eq!(with_status(200, receipt).text("state"), "CLOSED");
    mall.member.eventually_gets(&order, "COMPLETED").await;
    mall.member.eventually_passed(&order, &[&PASSED[..], &["수령확인"]].concat()).await;
    assert_eq!(mall.product.stock().await, Some(STOCK - QUANTITY));
    assert_eq!(mall.member.payments(&order).await, ["DONE"]);
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_stock_at_the_confirmation_cancels_payment_and_order() {
    let mall = Mall::open("mall_too_little_stock").await;
    let scarce = mall.deployment.product(PRICE, QUANTITY - 1).await;
    let shop::Transfer { order, payment } = mall.member.transfer(&scarce, QUANTITY).await;
    refused(409, "OUT_OF_STOCK", &mall.confirm(&payment).await);
    assert_eq!(mall.member.payments(&order).await, ["CANCELLED"]);
    mall.member.eventually_sees(&order, "CANCELLED").await;
    assert_eq!(mall.member.cancel_reason(&order).await, "OUT_OF_STOCK");
    mall.member.eventually_passed(&order, &["주문접수", "입금확인대기", "주문취소"]).await;
    mall.member.eventually_sees_payment(&order, "CANCELLED").await;
    let page = format!("/v1/mypage/{}/orders/{order}", mall.member.id);
    assert_eq!(mall.member.get(&page).await.text("paymentStateLabel"), "결제취소");
    assert_eq!(mall.member.deliveries(&order).await, [""; 0]);
    assert_eq!(scarce.stock().await, Some(QUANTITY - 1));

    // Neither does it work later.
    let path = format!("/v1/products/{}:restock", scarce.id);
    with_status(200, mall.seller.post(&path, json!({ "quantity": 100 })).await.expect("an answer"));
    let late = with_status(409, mall.confirm(&payment).await);
    assert!(["OUT_OF_STOCK", "PAYMENT_CANCELLED"].contains(&&*late.text("reason")), "{late}");
    assert_eq!(scarce.stock().await, Some(QUANTITY + 99));
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_cannot_be_confirmed_while_product_is_down_but_later() {
    let mut mall = Mall::split("mall_without_product").await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    mall.deployment.kill("product");
    refused_for_now(&mall.confirm(&payment).await);
    assert_eq!(mall.member.payments(&order).await, ["WAITING_FOR_DEPOSIT"]);

    mall.deployment.start("product").await;
    eventually("the deposit confirmed", async || {
        let answer = mall.confirm(&payment).await;
        same((answer.status.as_u16(), answer.text("state")), (200, "DONE".to_owned()))
    })
    .await;
    assert_eq!(mall.product.stock().await, Some(STOCK - QUANTITY));
    mall.member.eventually_passed(&order, &PASSED).await;
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_is_confirmed_while_delivery_is_down_and_delivered_afterwards() {
    let mut mall = Mall::split("mall_without_delivery").await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    mall.deployment.kill("delivery");
    with_status(200, mall.confirm(&payment).await);
    mall.member.eventually_passed(&order, &PASSED[..4]).await;

    mall.deployment.start("delivery").await;
    mall.member.eventually_gets(&order, "STARTED").await;
    mall.member.eventually_passed(&order, &PASSED).await;
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customer_cancels_until_the_deposit_is_confirmed() {
    let mall = Mall::open("mall_cancelling").await;
    let early = mall.transfer().await;
    let late = mall.transfer().await;

    let cancelled = with_status(200, mall.member.cancel(&early.order).await);
    assert_eq!(cancelled.text("state"), "CANCELLED", "{cancelled}");
    assert_eq!(mall.member.cancel_reason(&early.order).await, "MEMBER_REQUEST");
    assert_eq!(mall.member.payments(&early.order).await, ["CANCELLED"]);
    mall.member.eventually_passed(&early.order, &["주문접수", "입금확인대기", "주문취소"]).await;
    mall.member.eventually_sees_payment(&early.order, "CANCELLED").await;
    refused(409, "PAYMENT_CANCELLED", &mall.confirm(&early.payment).await);
    assert_eq!(mall.product.stock().await, Some(STOCK));

    with_status(200, mall.confirm(&late.payment).await);
    refused(409, "DEPOSIT_CONFIRMED", &mall.member.cancel(&late.order).await);
    mall.member.eventually_passed(&late.order, &PASSED).await;
    refused(409, "DEPOSIT_CONFIRMED", &mall.member.cancel(&late.order).await);
    assert_eq!(mall.member.order_state(&late.order).await, "DELIVERING");
    assert_eq!(mall.member.payments(&late.order).await, ["DONE"]);
    assert_eq!(mall.member.deliveries(&late.order).await, ["STARTED"]);
    assert_eq!(mall.member.deliveries(&early.order).await, [""; 0]);
    assert_eq!(mall.product.stock().await, Some(STOCK - QUANTITY));
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_seller_confirms_and_only_the_whole_amount() {
    let mall = Mall::open("mall_who_confirms").await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    let stranger = mall.deployment.member(0).await;
    for somebody in [&mall.member, &stranger] {
        with_status(403, shop::confirm(&somebody.rest, &payment, TOTAL).await);
    }
    with_status(401, shop::confirm(&mall.deployment.rest(), &payment, TOTAL).await);
    for amount in [TOTAL - 1, TOTAL + 1, 0, -TOTAL] {
        let refusal = with_status(400, shop::confirm(&mall.seller, &payment, amount).await);
        assert_eq!(refusal.text("violations/0/field"), "amount.units", "{refusal}");
    }
    let dollars = json!({ "currencyCode": "USD", "units": TOTAL.to_string() });
    let body = json!({ "amount": dollars, "depositorName": "Kim" });
    let path = format!("/v1/payments/{payment}:confirmDeposit");
    let refusal = with_status(400, mall.seller.post(&path, body).await.expect("an answer"));
    assert_eq!(refusal.text("violations/0/field"), "amount.currencyCode", "{refusal}");
    assert_eq!(mall.member.payments(&order).await, ["WAITING_FOR_DEPOSIT"]);
    assert_eq!(mall.product.stock().await, Some(STOCK));

    // The depositor's name is not the member's.
    let body = json!({ "amount": won(TOTAL), "depositorName": "어머니" });
    let confirmed = with_status(200, mall.seller.post(&path, body).await.expect("an answer"));
    assert_eq!(confirmed.text("state"), "DONE", "{confirmed}");
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposit_that_does_not_come_within_seven_days_cancels_the_order() {
    let mut mall = Mall::split("mall_due_date").await;
    mall.deployment.kill("payment");
    mall.deployment.start_with_clock("payment").await;
    let in_time = mall.transfer().await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    mall.deployment.time_passes("payment", Duration::from_hours(6 * 24)).await;
    with_status(200, mall.confirm(&in_time.payment).await);
    assert_eq!(mall.member.payments(&order).await, ["WAITING_FOR_DEPOSIT"]);

    mall.deployment.time_passes("payment", Duration::from_hours(24)).await;
    refused(409, "DEPOSIT_EXPIRED", &mall.confirm(&payment).await);
    mall.member.eventually_pays(&order, "EXPIRED").await;
    mall.member.eventually_sees(&order, "CANCELLED").await;
    assert_eq!(mall.member.cancel_reason(&order).await, "DEPOSIT_EXPIRED");
    mall.member.eventually_passed(&order, &["주문접수", "입금확인대기", "주문취소"]).await;
    refused(409, "DEPOSIT_EXPIRED", &mall.confirm(&payment).await);
    assert_eq!(mall.member.payments(&order).await, ["EXPIRED"]);
    assert_eq!(mall.member.payments(&in_time.order).await, ["DONE"]);
    assert_eq!(mall.product.stock().await, Some(STOCK - QUANTITY));

    let later = mall.transfer().await;
    with_status(200, mall.confirm(&later.payment).await);
    assert_eq!(mall.member.payments(&later.order).await, ["DONE"]);
    mall.deployment.all_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_its_members_alone_and_received_once_it_is_under_way() {
    let mall = Mall::open("mall_whose_order").await;
    let shop::Transfer { order, payment } = mall.transfer().await;
    let stranger = mall.deployment.member(0).await;
    let see_nothing = async || {
        let own_page = format!("/v1/mypage/{}/orders/{order}", stranger.id);
        let others_page = format!("/v1/mypage/{}/orders/{order}", mall.member.id);
        for path in [format!("/v1/orders/{order}"), own_page, others_page] {
            with_status(404, stranger.get(&path).await);
        }
        with_status(404, stranger.get(&format!("/v1/payments/{payment}")).await);
        with_status(404, stranger.confirm_receipt(&order).await);
        with_status(404, stranger.cancel(&order).await);
        assert_eq!(stranger.payments(&order).await, [""; 0]);
        assert_eq!(stranger.deliveries(&order).await, [""; 0]);
        assert_eq!(stranger.get("/v1/orders").await.body["orders"], json!([]));
    };
    see_nothing().await;
    refused(409, "NOT_DELIVERING", &mall.member.confirm_receipt(&order).await);

    with_status(200, mall.confirm(&payment).await);
    mall.member.eventually_sees(&order, "DELIVERING").await;
    see_nothing().await;
    assert_eq!(mall.member.order_state(&order).await, "DELIVERING");
    let closed = with_status(200, mall.member.confirm_receipt(&order).await);
    assert_eq!(closed.text("state"), "CLOSED", "{closed}");
    mall.deployment.all_holds().await;
}
