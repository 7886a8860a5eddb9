//! Does what order has to do later.

use base::Error;
use pg::{
    in_doubt::Call as _,
    task::{Handler, Outcome, Task},
};

use crate::{
    cancel::{self, Cancel},
    checkout::{self, Checkouts},
    depositor::{self, Depositors},
    domain::OrderId,
};

pub(crate) struct Worker {
    pub(crate) cancel: Cancel,
    pub(crate) checkouts: Checkouts,
    pub(crate) depositors: Depositors,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let order = OrderId(task.key);
        match task.kind.as_str() {
            cancel::Call::TASK => self.cancel.resume(order).await?,
            checkout::Call::TASK => self.checkouts.abort(order).await?,
            depositor::TASK => self.depositors.tell(task).await?,
            other => return Err(Error::internal(format!("a task of no known kind: {other}"))),
        }
        Ok(Outcome::Done)
    }
}
