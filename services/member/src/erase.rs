//! Personal data of members who have withdrawn: erased some time later, by a durable task. Others who
//! keep some hear of it, and do the same.

use std::time::Duration;

use base::Error;
use pg::{
    Database, Tx,
    task::{self, Due},
};

use crate::{domain::MemberId, store};

/// The kind of the task.
pub(crate) const TASK: &str = "erase-member";

/// Has a member erased so long after `tx`.
pub(crate) async fn schedule(tx: &mut Tx, member: MemberId, after: Duration) -> Result<(), Error> {
    task::schedule(tx, TASK, member.0, Due::After(after), &[]).await
}

/// Erases a member who has withdrawn.
pub(crate) async fn erase(database: &Database, member: MemberId) -> Result<(), Error> {
    let mut tx = database.begin().await?;
    store::erase(&mut tx, member).await?;
    tx.commit().await
}
