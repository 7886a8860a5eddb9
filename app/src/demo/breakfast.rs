//! Breakfast: a payment earns mileage; cancelling takes it back.

use anyhow::Result;

use super::cast::{Cast, Guest, Order};

pub(super) const PRICE: i64 = 8_900;

pub(super) async fn play(cast: &mut Cast) -> Result<()> {
    cast.stage.story("Breakfast: a payment earns mileage; cancelling takes it back");
    let product = cast.product("a breakfast", PRICE, 20).await?;
    let guest = cast.guest().await?;

    cast.stage.step("One percent of a breakfast is there when the call returns");
    let order = cast.order(&guest, &product, 1, "CARD").await?;
    entry_is(cast, &guest, &order, "EARNED").await?;
    points_are(cast, &guest, PRICE / 100).await?;

    cast.stage.step("Cancelling takes it back");
    cast.cancel(&guest, &order).await?;
    entry_is(cast, &guest, &order, "CANCELLED").await?;
    points_are(cast, &guest, 0).await
}

pub(super) async fn entry_is(cast: &Cast, guest: &Guest, order: &Order, state: &str) -> Result<()> {
    let path = format!("/v1/members/{}/mileage/entries?orderId={}", guest.id, order.id);
    cast.reads(&guest.rest, "entry", &path, "entries/0/state", state).await
}

pub(super) async fn points_are(cast: &Cast, guest: &Guest, points: i64) -> Result<()> {
    let path = format!("/v1/members/{}/mileage", guest.id);
    cast.reads(&guest.rest, "points", &path, "balance", &points.to_string()).await
}
