//! Does what payment has to do later.

use base::Error;
use pg::{
    Database,
    task::{Handler, Outcome, Task},
};

use crate::{
    acquirer::Acquirer, authorise::Authorise, confirm::Confirm, domain::OrderId, store, tasks,
};

pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) authorise: Authorise,
    pub(crate) confirm: Confirm,
    pub(crate) acquirer: Acquirer,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let order = OrderId(task.key);
        match task.kind.as_str() {
            tasks::ABANDON => self.authorise.abandon(order).await?,
            tasks::CONFIRM => self.confirm.resume(order).await?,
            tasks::EXPIRE => expire(&self.database, order).await?,
            tasks::REFUND => self.acquirer.refund(order).await?,
            other => return Err(Error::internal(format!("a task of no known kind: {other}"))),
        }
        Ok(Outcome::Done)
    }
}

async fn expire(database: &Database, order: OrderId) -> Result<(), Error> {
    let Some(member) = store::member_of(&mut database.read().await?, order).await? else {
        return Ok(());
    };
    let mut tx = database.begin().await?;
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
