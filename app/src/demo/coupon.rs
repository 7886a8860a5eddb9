//! Coupon: signing up brings one and tells the admin; an order is paid with it; withdrawing cancels it
//! first.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::cast::{Cast, Guest, order};

const PRICE: i64 = 10_000;

/// An order is paid with the coupon, which is back when it is cancelled.
async fn checks_out(cast: &mut Cast, guest: &Guest, coupons: &str) -> Result<()> {
    let product = cast.product("a feast", PRICE, 10).await?;
    cast.stage.step("An order by card is paid with the coupon: the card pays the rest");
    let mut body = order(&product, 1, "CARD", "tok_visa");
    body["couponId"] = guest.rest.get(coupons).await?.text("coupons/0/id").into();
    let placed = cast.stage.call(&guest.rest, Method::POST, "/v1/orders", Some(body)).await?;
    cast.stage.expect("discount", &placed.text("couponDiscount/units"), &"3000".to_owned())?;
    cast.stage.expect("card", &placed.text("payable/units"), &"7000".to_owned())?;
    cast.reads(&guest.rest, "coupon", coupons, "coupons/0/state", "REDEEMED").await?;

    cast.stage.step("It is cancelled: the coupon can be redeemed again");
    let path = format!("/v1/orders/{}:cancel", placed.text("id"));
    let cancelled = cast.stage.call(&guest.rest, Method::POST, &path, Some(json!({}))).await?;
    cast.stage.expect("order", &cancelled.text("state"), &"CANCELLED".to_owned())?;
    cast.reads(&guest.rest, "coupon", coupons, "coupons/0/state", "ISSUED").await
}

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Coupon: one for signing up, gone with the membership");
    let guest = cast.guest().await?;

    cast.stage.step("A coupon is issued, and the admin is told");
    let member = format!("/v1/members/{}", guest.id);
    let coupons = format!("{member}/coupons");
    let told = format!("/v1/notifications?audience=ADMIN&subjectId={}", guest.id);
    cast.reads(&guest.rest, "coupon", &coupons, "coupons/0/state", "ISSUED").await?;
    cast.reads(&cast.admin, "message", &told, "notifications/0/audience", "ADMIN").await?;
    cast.reads(&guest.rest, "issued", &member, "couponIssued", "true").await?;
    cast.reads(&guest.rest, "notified", &member, "adminNotified", "true").await?;

    checks_out(cast, &guest, &coupons).await?;

    cast.stage.step("The member withdraws: the coupon is cancelled in the same call");
    let path = format!("{member}:withdraw");
    let left = cast.stage.call(&guest.rest, Method::POST, &path, Some(json!({}))).await?;
    cast.stage.expect("member", &left.text("state"), &"WITHDRAWN".to_owned())?;
    cast.reads(&cast.admin, "coupon", &coupons, "coupons/0/state", "CANCELLED").await?;
    let page = format!("/v1/mypage/{}", guest.id);
    cast.reads(&cast.admin, "My Page", &page, "couponCancelled", "true").await?;

    cast.stage.step("The password opens nothing any more");
    let body = json!({ "email": guest.email, "password": guest.password });
    let refusal = (401, "WRONG_CREDENTIALS");
    cast.stage.refused(&cast.anyone, Method::POST, "/v1/sessions", Some(body), refusal).await
}
