//! Does what coupon has to do later: it looks every minute for coupons whose time has
//! come.

use base::Error;
use pg::{
    Database,
    task::{self, Handler, Outcome, Task},
};

use crate::store;

/// There is one, from the migration on. An order is refused a coupon whose time has come, whether this
/// has met it or not.
const EXPIRE: &str = "expire-coupons";

pub(crate) struct Worker {
    pub(crate) database: Database,
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
        let more = store::coupon::expire(&mut tx).await?;
        task::repeat(&mut tx, EXPIRE, more).await?;
        tx.commit().await
    }
}
