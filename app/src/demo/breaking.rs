//! Break it: mileage is killed, an order is cancelled meanwhile, and the points are
//! taken back all the same. Needs one process per service.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    breakfast::{PRICE, entry_is, points_are},
    cast::Cast,
};

pub(super) async fn play(cast: &mut Cast, processes: &Path) -> Result<()> {
    cast.stage.story("Break it: mileage is killed, and still takes its points back");
    let product = cast.product("another breakfast", PRICE, 20).await?;
    let guest = cast.guest().await?;
    cast.stage.step("A breakfast earns its points");
    let order = cast.order(&guest, &product, 1, "CARD").await?;
    entry_is(cast, &guest, &order, "EARNED").await?;

    let pid = mileage(processes)?.context("mileage does not run")?;
    cast.stage.step(&format!("kill -9 {pid}: mileage is gone"));
    kill(Pid::from_raw(pid), Signal::SIGKILL).context("cannot kill mileage")?;

    cast.stage.step("Cancelling does not wait for it");
    cast.cancel(&guest, &order).await?;

    cast.stage.step("Mileage comes back by itself, and hears of the cancellation");
    let back = async || Ok(mileage(processes)?.is_some_and(|now| now != pid).to_string());
    cast.stage.eventually("is back", "true".to_owned(), back).await?;
    entry_is(cast, &guest, &order, "CANCELLED").await?;
    points_are(cast, &guest, 0).await
}

/// The process of mileage, when it runs.
fn mileage(processes: &Path) -> Result<Option<i32>> {
    let text = fs::read_to_string(processes)
        .with_context(|| format!("cannot read {}", processes.display()))?;
    let list: Value = serde_json::from_str(&text).context("processes.json")?;
    let found = list.as_array().and_then(|list| list.iter().find(|it| it["service"] == "mileage"));
    let pid = found.and_then(|it| it["pid"].as_i64()).map(i32::try_from).transpose();
    pid.context("a process id")
}
