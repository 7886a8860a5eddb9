//! Wallet: a prepaid balance buys goods; cancelling gives everything back.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::cast::{Cast, Guest, ON_ITS_WAY, won};

const PRICE: i64 = 1_000;
const STOCK: i64 = 1_000;
const BALANCE: i64 = 999_999;
const QUANTITY: i64 = 10;

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Wallet: a prepaid balance buys goods; cancelling gives everything back");
    let product = cast.product("a table for one", PRICE, STOCK).await?;
    let guest = cast.guest().await?;

    cast.stage.step("The member tops up the wallet, by card");
    let path = format!("/v1/members/{}/wallet:topUp", guest.id);
    let body = json!({ "amount": won(BALANCE), "cardToken": "tok_visa" });
    cast.stage.call(&guest.rest, Method::POST, &path, Some(body)).await?;
    balance_is(cast, &guest, BALANCE).await?;

    cast.stage.step("The member orders ten, from the wallet");
    let mut order = cast.order(&guest, &product, QUANTITY, "WALLET").await?;
    cast.my_page_follows(&guest, &mut order, ON_ITS_WAY).await?;
    cast.stage.step("The meal is paid and on its way");
    balance_is(cast, &guest, BALANCE - PRICE * QUANTITY).await?;
    cast.all_is(&guest, &order, (&product, STOCK - QUANTITY), "DONE", "STARTED").await?;

    cast.stage.step("The member thinks better of it, and cancels");
    cast.cancel(&guest, &order).await?;
    cast.my_page_follows(&guest, &mut order, &["주문취소 CANCELLED"]).await?;
    cast.stage.step("Everything is as it was");
    balance_is(cast, &guest, BALANCE).await?;
    cast.all_is(&guest, &order, (&product, STOCK), "CANCELLED", "CANCELLED").await
}

async fn balance_is(cast: &Cast, guest: &Guest, balance: i64) -> Result<()> {
    let path = format!("/v1/members/{}/wallet", guest.id);
    cast.reads(&guest.rest, "balance", &path, "balance/units", &balance.to_string()).await
}
