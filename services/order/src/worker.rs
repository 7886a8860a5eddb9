//! Does what order has to do later.

use kit::{
    Error,
    error::Kind,
    task::{Handler, Outcome, Task},
};

use crate::{
    cancel::{self, Cancel},
    card::{self, Card},
    domain::OrderId,
};

pub(crate) struct Worker {
    pub(crate) cancel: Cancel,
    pub(crate) card: Card,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let order = OrderId(task.key);
        let done = match task.kind.as_str() {
            cancel::TASK => self.cancel.resume(order).await,
            card::TASK => self.card.abort(order).await,
            other => Err(Error::internal(format!("a task of no known kind: {other}"))),
        };
        match done {
            Ok(()) => Ok(Outcome::Done),
            // A refusal is an end, too.
            Err(error) if error.kind() == Kind::Conflict => Ok(Outcome::Done),
            Err(error) => Err(error),
        }
    }
}
