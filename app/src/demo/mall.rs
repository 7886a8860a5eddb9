//! Mall: order now, pay by bank transfer; the seller confirms the deposit, which
//! takes the stock in the same call.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;

use super::cast::{Cast, won};

const PRICE: i64 = 5_000;
const STOCK: i64 = 10_000;
const QUANTITY: i64 = 3;

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Mall: a bank transfer that the seller confirms");
    let product = cast.product("a brass bowl", PRICE, STOCK).await?;
    let guest = cast.guest().await?;

    cast.stage.step("The member orders three, to be paid by bank transfer");
    let mut order = cast.order(&guest, &product, QUANTITY, "BANK_TRANSFER").await?;
    let waiting = &["주문접수 PLACED", "입금확인대기 AWAITING_DEPOSIT"];
    cast.my_page_follows(&guest, &mut order, waiting).await?;
    let payment = cast.seller.get(&format!("/v1/payments?orderId={}", order.id)).await?;
    let id = payment.text("payments/0/id");
    ensure!(!id.is_empty(), "no payment waits: {payment}");

    cast.stage.step("The seller sees the deposit, and confirms it: the stock is taken at once");
    let path = format!("/v1/payments/{id}:confirmDeposit");
    let body = json!({ "amount": won(PRICE * QUANTITY), "depositorName": "김한상" });
    let confirmed = cast.stage.call(&cast.seller, Method::POST, &path, Some(body)).await?;
    cast.stage.expect("payment", &confirmed.text("state"), &"DONE".to_owned())?;
    let left = cast.anyone.get(&format!("/v1/products/{product}")).await?.text("stock");
    cast.stage.expect("stock", &left, &(STOCK - QUANTITY).to_string())?;

    let passed = &["입금확인완료 PAID", "상품준비완료 PREPARED", "배송중 DELIVERING"];
    cast.my_page_follows(&guest, &mut order, passed).await?;

    cast.stage.step("It is too late to cancel");
    let path = format!("/v1/orders/{}:cancel", order.id);
    let refusal = (409, "DEPOSIT_CONFIRMED");
    cast.stage.refused(&guest.rest, Method::POST, &path, Some(json!({})), refusal).await
}
