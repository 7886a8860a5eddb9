//! Mall: order now, pay by bank transfer, in two parts; the deposit takes the stock in the
//! same call. The shop cancels, and what arrives afterwards is held.

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;

use super::cast::{Cast, won};

const PRICE: i64 = 5_000;
const STOCK: i64 = 10_000;
const QUANTITY: i64 = 3;

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Mall: a bank transfer in two parts, and an order that the shop cancels");
    let product = cast.product("a brass bowl", PRICE, STOCK).await?;
    let guest = cast.guest().await?;

    cast.stage.step("The member orders three, to be paid by bank transfer");
    let mut order = cast.order(&guest, &product, QUANTITY, "BANK_TRANSFER").await?;
    let waiting = &["주문접수 PLACED", "입금확인대기 AWAITING_DEPOSIT"];
    cast.my_page_follows(&guest, &mut order, waiting).await?;
    let payment = cast.seller.get(&format!("/v1/payments?orderId={}", order.id)).await?;
    let id = payment.text("payments/0/id");
    ensure!(!id.is_empty(), "no payment waits: {payment}");

    let reference = payment.text("payments/0/depositReference");

    cast.stage.step("A part of it arrives: it is held, and the payment waits on");
    let total = PRICE * QUANTITY;
    deposit(cast, ("part", 5_000), &reference, "HELD SHORT").await?;
    cast.stage.step("The rest arrives: the payment is DONE, and the stock is taken at once");
    deposit(cast, ("rest", total - 5_000), &reference, "MATCHED HELD_REASON_UNSPECIFIED").await?;
    let confirmed = cast.seller.get(&format!("/v1/payments/{id}")).await?;
    cast.stage.expect("payment", &confirmed.text("state"), &"DONE".to_owned())?;
    let left = cast.anyone.get(&format!("/v1/products/{product}")).await?.text("stock");
    cast.stage.expect("stock", &left, &(STOCK - QUANTITY).to_string())?;

    let passed = &["입금확인완료 PAID", "상품준비완료 PREPARED", "배송중 DELIVERING"];
    cast.my_page_follows(&guest, &mut order, passed).await?;

    cast.stage.step("It is too late to cancel");
    let path = format!("/v1/orders/{}:cancel", order.id);
    let refusal = (409, "DEPOSIT_CONFIRMED");
    cast.stage.refused(&guest.rest, Method::POST, &path, Some(json!({})), refusal).await?;

    cast.stage.step("The shop can, and sends the money to the account that it is told");
    let account =
        json!({ "bankCode": "004", "accountNumber": "110-234-567890", "holder": "김한상" });
    let body = json!({ "reason": "the bowls are cracked", "refundAccount": account });
    cast.stage.call(&cast.seller, Method::POST, &path, Some(body)).await?;
    cast.my_page_follows(&guest, &mut order, &["주문취소 CANCELLED"]).await?;

    cast.stage.step("A deposit for an order that is cancelled is held, and goes to the wallet");
    let late = deposit(cast, ("late", total), &reference, "HELD ORDER_CANCELLED").await?;
    let path = format!("/v1/deposits/{late}:credit");
    let credited = cast.stage.call(&cast.seller, Method::POST, &path, Some(json!({}))).await?;
    cast.stage.expect("deposit", &credited.text("state"), &"CREDITED".to_owned())
}

/// The bank says that so much has arrived; answers the deposit's id.
async fn deposit(
    cast: &Cast,
    (what, won_): (&str, i64),
    reference: &str,
    becomes: &str,
) -> Result<String> {
    let body = json!({
        "bankTransactionId": format!("{reference} {what}"), "amount": won(won_),
        "depositorName": "김한상", "reference": reference,
    });
    let deposit = cast.stage.call(&cast.seller, Method::POST, "/v1/deposits", Some(body)).await?;
    let seen = format!("{} {}", deposit.text("state"), deposit.text("heldReason"));
    cast.stage.expect("deposit", &seen, &becomes.to_owned())?;
    Ok(deposit.text("id"))
}
