//! Does what delivery has to do later.

use base::Error;
use pg::{
    in_doubt::Call as _,
    task::{Handler, Outcome, Task},
};

use crate::{
    dispatch::{self, Dispatch},
    domain::DeliveryId,
};

pub(crate) struct Worker {
    pub(crate) dispatch: Dispatch,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        match task.kind.as_str() {
            dispatch::Call::TASK => self.dispatch.resume(DeliveryId(task.key)).await?,
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
    }
}
