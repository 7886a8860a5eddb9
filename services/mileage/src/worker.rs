//! Does what mileage has to do later: it looks every minute for points that nobody has
//! spent in time, and for those whose time comes soon.

use std::time::Duration;

use base::{Error, id::Uuid};
use pg::{
    Database,
    task::{self, Due, Handler, Outcome, Task},
};

use crate::store;

/// There is one, from the migration on.
const EXPIRE: &str = "expire-points";
/// Whoever spends is refused those whose time has come, whether this has met them or not.
const EVERY: Duration = Duration::from_mins(1);

pub(crate) struct Worker {
    pub(crate) database: Database,
    /// How long before they expire a member is told of points.
    pub(crate) warn_before: Duration,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        if task.kind != EXPIRE {
            let other = &task.kind;
            return Err(Error::internal(format!("a task of no known kind: {other}")));
        }
        let mut tx = self.database.begin().await?;
        let expired = store::account::expire(&mut tx).await?;
        tx.commit().await?;
        // Apart from it: either locks the accounts that it needs in their order.
        let mut tx = self.database.begin().await?;
        let warned = store::warning::warn(&mut tx, self.warn_before).await?;
        let more = expired || warned;
        // Anew, and so never the task that is done.
        let due = Due::After(if more { Duration::ZERO } else { EVERY });
        task::schedule(&mut tx, EXPIRE, Uuid::nil(), due, &[]).await?;
        tx.commit().await?;
        Ok(Outcome::Done)
    }
}
