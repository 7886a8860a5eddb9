//! Who is going to pay for an order by bank transfer: told to payment alone, by a task, and kept
//! nowhere else once payment has it.

use std::time::Duration;

use base::Error;
use contracts::payment::v1::{DeclareDepositorRequest, payment_service::DECLARE_DEPOSITOR};
use pg::{
    Database, Tx,
    task::{self, Due, Task},
};
use rpc::Peer;

use crate::{domain::OrderId, store};

/// The kind of the task that tells payment.
pub(crate) const TASK: &str = "declare-depositor";

/// Has payment told once `tx` has committed.
pub(crate) async fn declare(tx: &mut Tx, order: OrderId, depositor: &str) -> Result<(), Error> {
    task::schedule(tx, TASK, order.0, Due::After(Duration::ZERO), depositor.as_bytes()).await
}

/// Tells payment who is going to pay.
pub(crate) struct Depositors {
    pub(crate) database: Database,
    pub(crate) payment: Peer,
    pub(crate) deadline: Duration,
}

impl Depositors {
    /// Carries out the task.
    pub(crate) async fn tell(&self, task: &Task) -> Result<(), Error> {
        let order = OrderId(task.key);
        let stored = store::get(&mut self.database.read().await?, order, None).await?;
        let member = stored.order.member;
        let request = DeclareDepositorRequest {
            order_id: order.to_string(),
            member_id: member.to_string(),
            depositor_name: String::from_utf8_lossy(&task.payload).into_owned(),
        };
        let payment = self.payment.on_behalf_of(member.0);
        let told = payment.unary(DECLARE_DEPOSITOR, &request, self.deadline).await;
        told.map(drop).map_err(Error::from)
    }
}
