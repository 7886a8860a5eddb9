//! Does what payment has to do later.

use std::sync::Arc;

use kit::{
    Error,
    error::Kind as ErrorKind,
    task::{Handler, Outcome, Task},
};

use crate::{authorise, confirm, domain::OrderId, service::Parts, store};

pub(crate) struct Worker(pub(crate) Arc<Parts>);

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let order = OrderId(task.key);
        match task.kind.as_str() {
            "abandon-charge" => authorise::abandon(&self.0, order).await?,
            "confirm-deposit" => definite(confirm::resume(&self.0, order).await)?,
            "expire-deposit" => expire(&self.0, order).await?,
            "refund-card" => self.0.acquirer.refund(order).await?,
            other => return Err(Error::internal(format!("a task of no known kind: {other}"))),
        }
        Ok(Outcome::Done)
    }
}

/// A refusal is an end, too.
fn definite(ended: Result<(), Error>) -> Result<(), Error> {
    match ended {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        other => other,
    }
}

async fn expire(parts: &Parts, order: OrderId) -> Result<(), Error> {
    let Some(member) = store::member_of(&mut parts.database.read().await?, order).await? else {
        return Ok(());
    };
    let mut tx = parts.database.begin().await?;
    let (open, _) = store::update(&mut tx, order, member, |payment, _| {
        let outcome = payment.expire();
        Ok((payment.attempts > 0, outcome.into_iter().collect()))
    })
    .await?;
    tx.commit().await?;
    if open {
        // It may come to wait again, past its time.
        return Err(Error::unavailable("CONFIRMING", "a confirmation is under way"));
    }
    Ok(())
}
