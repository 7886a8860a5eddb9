//! Does what member has to do later.

use base::Error;
use pg::{
    Database,
    in_doubt::Call as _,
    task::{Handler, Outcome, Task},
};

use crate::{
    domain::MemberId,
    erase,
    withdraw::{self, Withdraw},
};

pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) withdraw: Withdraw,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let member = MemberId(task.key);
        match task.kind.as_str() {
            withdraw::Call::TASK => self.withdraw.resume(member).await?,
            erase::TASK => erase::erase(&self.database, member).await?,
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
    }
}
