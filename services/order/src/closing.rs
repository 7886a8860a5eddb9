//! When an order closes by itself: some time after it was delivered, or, when nobody says that it was,
//! some longer time after its delivery started. A durable task each, on the service's clock.

use std::time::Duration;

use base::Error;
use pg::{
    Database, Tx,
    task::{self, Due, Outcome, Plan},
};

use crate::{
    domain::{CloseReason, Fact, OrderId},
    store,
};

/// The kind of the task that is scheduled when a delivery starts.
pub(crate) const AFTER_START: &str = "close-after-start";
/// The kind of the task that is scheduled when the goods have arrived.
pub(crate) const AFTER_DELIVERY: &str = "close-after-delivery";

/// How soon to look again at an order that is being cancelled.
const AGAIN: Duration = Duration::from_mins(1);

/// How long an order waits to be closed by its member.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) after_start: Duration,
    pub(crate) after_delivery: Duration,
}

impl Terms {
    /// What a fact has done later.
    pub(crate) fn plan(&self, order: OrderId, fact: Fact) -> Option<Plan> {
        let (kind, after) = match fact {
            Fact::DeliveryStarted => (AFTER_START, self.after_start),
            Fact::Delivered => (AFTER_DELIVERY, self.after_delivery),
            _ => return None,
        };
        Some(Plan { kind, key: order.0, due: Due::After(after) })
    }
}

/// Closes an order whose time is up, unless its member has, or it has been delivered since.
pub(crate) async fn close(
    database: &Database,
    order: OrderId,
    reason: CloseReason,
) -> Result<Outcome, Error> {
    let mut tx = database.begin().await?;
    let closed = store::update(&mut tx, order, None, |_, order| {
        let milestones = order.close_by_itself(reason);
        Ok((milestones.is_some(), milestones.unwrap_or_default()))
    });
    let (decided, _) = closed.await?;
    tx.commit().await?;
    Ok(if decided { Outcome::Done } else { Outcome::Again(AGAIN) })
}

/// Nothing is due any more of an order that its member has closed.
pub(crate) async fn forget(tx: &mut Tx, order: OrderId) -> Result<(), Error> {
    task::remove(tx, AFTER_START, order.0).await?;
    task::remove(tx, AFTER_DELIVERY, order.0).await
}
