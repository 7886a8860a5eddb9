//! Does what order has to do later.

use base::Error;
use pg::{
    Database,
    in_doubt::Call as _,
    task::{Handler, Outcome, Task},
};

use crate::{
    address::{self, Declarations},
    cancel::{self, Cancel},
    checkout::{self, Checkouts},
    closing,
    depositor::{self, Depositors},
    domain::{CloseReason, OrderId},
    parts::{Cancellation, Return, Taking as _, Takings},
};

pub(crate) struct Worker {
    pub(crate) cancel: Cancel,
    pub(crate) takings: Takings,
    pub(crate) checkouts: Checkouts,
    pub(crate) depositors: Depositors,
    pub(crate) declarations: Declarations,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let order = OrderId(task.key);
        match task.kind.as_str() {
            cancel::Call::TASK => self.cancel.resume(order).await?,
            Cancellation::TASK => self.takings.resume_cancellation(order).await?,
            Return::TASK => self.takings.resume_return(order).await?,
            checkout::Call::TASK => self.checkouts.abort(order).await?,
            depositor::TASK => self.depositors.tell(task).await?,
            address::TASK => self.declarations.tell(task).await?,
            closing::AFTER_START => {
                return closing::close(self.database(), order, CloseReason::DaysAfterStart).await;
            }
            closing::AFTER_DELIVERY => {
                return closing::close(self.database(), order, CloseReason::DaysAfterDelivery)
                    .await;
            }
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
    }
}

impl Worker {
    fn database(&self) -> &Database {
        &self.declarations.database
    }
}
