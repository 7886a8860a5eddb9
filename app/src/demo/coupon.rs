//! Coupon: signing up brings one and tells the admin; withdrawing cancels it first.

use anyhow::Result;
use http::Method;
use serde_json::json;

use super::cast::Cast;

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
