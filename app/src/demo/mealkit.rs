//! Mealkit: by card; a message to who might like more; what is too much is cancelled, or comes back; the
//! receipt closes the order.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::cast::{Cast, Guest, ON_ITS_WAY, Order, order};

const STOCK: i64 = 50;

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Mealkit: paid by card, delivered, confirmed");
    let product = cast.product("a bibimbap kit", 12_000, STOCK).await?;
    let guest = cast.guest().await?;

    cast.stage.step("A card that is declined leaves no order");
    let body = order(&product, 2, "CARD", "tok_declined");
    let refusal = (409, "CARD_DECLINED");
    cast.stage.refused(&guest.rest, Method::POST, "/v1/orders", Some(body), refusal).await?;
    cast.reads(&guest.rest, "orders", "/v1/orders", "orders", "[]").await?;

    cast.stage.step("Another one is charged before the call returns");
    let mut order = cast.order(&guest, &product, 3, "CARD").await?;
    let payments = format!("/v1/payments?orderId={}", order.id);
    cast.reads(&guest.rest, "payment", &payments, "payments/0/state", "DONE").await?;
    cast.my_page_follows(&guest, &mut order, ON_ITS_WAY).await?;
    cast.all_is(&guest, &order, (&product, STOCK - 3), "DONE", "STARTED").await?;

    cast.stage.step("One of the three is too much: it is cancelled, and its share goes back");
    let one = json!([{ "productId": product, "quantity": 1 }]);
    let path = format!("/v1/orders/{}:cancelLines", order.id);
    let body = json!({ "lines": one });
    let fewer = cast.stage.call(&guest.rest, Method::POST, &path, Some(body)).await?;
    let cancelled = fewer.text("lines/0/cancelledQuantity");
    cast.stage.expect("cancelled", &cancelled, &"1".to_owned())?;
    let refund = "payments/0/refunds/0/amount/units";
    cast.reads(&guest.rest, "refund", &payments, refund, "12000").await?;
    cast.all_is(&guest, &order, (&product, STOCK - 2), "DONE", "STARTED").await?;

    cast.stage.step("A message went out, once");
    let messages = format!("/v1/notifications?audience=MARKETING&subjectId={}", order.id);
    cast.reads(&cast.admin, "message", &messages, "notifications/0/audience", "MARKETING").await?;

    cast.stage.step("The seller gives it to a carrier: nobody cancels any more what is gone");
    let found = cast.seller.get(&format!("/v1/deliveries?orderId={}", order.id)).await?;
    let delivery = format!("/v1/deliveries/{}", found.text("deliveries/0/id"));
    let parcel = json!({ "carrier": "CJ", "trackingNumber": "1234-5678-9012" });
    let path = format!("{delivery}:dispatch");
    cast.stage.call(&cast.seller, Method::POST, &path, Some(parcel)).await?;
    let (path, refusal) = (format!("/v1/orders/{}:cancel", order.id), (409, "ORDER_DISPATCHED"));
    cast.stage.refused(&guest.rest, Method::POST, &path, Some(json!({})), refusal).await?;
    let path = format!("{delivery}:markDelivered");
    cast.stage.call(&cast.seller, Method::POST, &path, Some(json!({}))).await?;
    cast.my_page_follows(&guest, &mut order, &["배송완료 DELIVERED"]).await?;

    comes_back(cast, &guest, &order, &product).await?;

    cast.stage.step("The meal has arrived");
    let path = format!("/v1/orders/{}:confirmReceipt", order.id);
    let closed = cast.stage.call(&guest.rest, Method::POST, &path, Some(json!({}))).await?;
    cast.stage.expect("order", &closed.text("state"), &"CLOSED".to_owned())?;
    cast.my_page_follows(&guest, &mut order, &["수령확인 CLOSED"]).await?;
    cast.all_is(&guest, &order, (&product, STOCK - 1), "DONE", "COMPLETED").await
}

/// One of what has arrived is returned.
async fn comes_back(cast: &mut Cast, guest: &Guest, order: &Order, product: &str) -> Result<()> {
    cast.stage.step("One of the two is returned: the seller accepts, and its share goes back");
    let path = format!("/v1/orders/{}/returns", order.id);
    let lines = json!([{ "productId": product, "quantity": 1 }]);
    let body = json!({ "lines": lines, "reason": "the bowl is broken" });
    let asked = cast.stage.call(&guest.rest, Method::POST, &path, Some(body)).await?;
    cast.stage.expect("return", &asked.text("state"), &"REQUESTED".to_owned())?;
    let path = format!("/v1/returns/{}:accept", asked.text("id"));
    let accepted = cast.stage.call(&cast.seller, Method::POST, &path, Some(json!({}))).await?;
    cast.stage.expect("return", &accepted.text("state"), &"ACCEPTED".to_owned())?;
    cast.stage.expect("refund", &accepted.text("refunded/units"), &"12000".to_owned())
}
