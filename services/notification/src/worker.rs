//! Does what notification has to do later.

use base::Error;
use pg::task::{Handler, Outcome, Task};

use crate::{
    domain::NotificationId,
    mail::{self, Mail},
};

pub(crate) struct Worker {
    pub(crate) mail: Mail,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        match task.kind.as_str() {
            mail::TASK => self.mail.send(NotificationId(task.key)).await,
            _ => Err(task.unknown()),
        }
    }
}
