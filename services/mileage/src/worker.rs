//! Does what mileage has to do later: it looks every minute for points that nobody has
//! spent in time, and for those whose time comes soon.

use std::time::Duration;

use base::Error;
use pg::{
    Database,
    task::{self, Handler, Outcome, Task},
};

use crate::store;

/// There is one, from the migration on. Whoever spends is refused points whose time has come, whether
/// this has met them or not.
const EXPIRE: &str = "expire-points";

pub(crate) struct Worker {
    pub(crate) database: Database,
    /// How long before they expire a member is told of points.
    pub(crate) warn_before: Duration,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        match task.kind.as_str() {
            EXPIRE => self.expire().await?,
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
    }
}

impl Worker {
    async fn expire(&self) -> Result<(), Error> {
        let mut tx = self.database.begin().await?;
        let expired = store::account::expire(&mut tx).await?;
        tx.commit().await?;
        // Apart from it: either locks the accounts that it needs in their order.
        let mut tx = self.database.begin().await?;
        let warned = store::warning::warn(&mut tx, self.warn_before).await?;
        task::repeat(&mut tx, EXPIRE, expired || warned).await?;
        tx.commit().await
    }
}
