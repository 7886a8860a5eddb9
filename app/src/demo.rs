//! `hansang demo`: everything up, then the five stories over REST, told step by
//! step. Each step says what it expects; one that turns out otherwise fails the demo.

mod breakfast;
mod breaking;
mod cast;
mod coupon;
mod mall;
mod mealkit;
mod shelf;
mod stage;
mod wallet;

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

use self::cast::Cast;
use crate::{
    console::say,
    up::{self, Address},
};

/// Brings everything up and plays the stories; then leaves, or serves on until told to stop.
pub(crate) async fn demo(options: up::Options, exit: bool, stop: CancellationToken) -> Result<()> {
    up::run(options, stop.clone(), async |address| {
        let Some(played) = stop.run_until_cancelled(play(&address)).await else { return Ok(()) };
        played.context("the demo failed")?;
        if exit {
            stop.cancel();
        } else {
            say(format_args!("\nThe shop is open: {}  Ctrl-C stops everything.", address.url()));
        }
        Ok(())
    })
    .await
}

async fn play(address: &Address) -> Result<()> {
    let mut cast = Cast::enter(address).await?;
    wallet::play(&mut cast).await?;
    mealkit::play(&mut cast).await?;
    breakfast::play(&mut cast).await?;
    mall::play(&mut cast).await?;
    coupon::play(&mut cast).await?;
    if let Some(processes) = &address.processes {
        breaking::play(&mut cast, processes).await?;
    }
    shelf::fill(&mut cast).await?;
    cast.stage.close();
    Ok(())
}
