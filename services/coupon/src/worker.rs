//! Does what coupon has to do later: it looks every minute for coupons whose time has
//! come.

use std::time::Duration;

use base::{Error, id::Uuid};
use pg::{
    Database,
    task::{self, Due, Handler, Outcome, Task},
};

use crate::store;

/// There is one, from the migration on.
const EXPIRE: &str = "expire-coupons";
/// An order is refused one whose time has come, whether this has met it or not.
const EVERY: Duration = Duration::from_mins(1);

pub(crate) struct Worker {
    pub(crate) database: Database,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        if task.kind != EXPIRE {
            let other = &task.kind;
            return Err(Error::internal(format!("a task of no known kind: {other}")));
        }
        let mut tx = self.database.begin().await?;
        let more = store::coupon::expire(&mut tx).await?;
        // Anew, and so never the task that is done.
        let due = Due::After(if more { Duration::ZERO } else { EVERY });
        task::schedule(&mut tx, EXPIRE, Uuid::nil(), due, &[]).await?;
        tx.commit().await?;
        Ok(Outcome::Done)
    }
}
