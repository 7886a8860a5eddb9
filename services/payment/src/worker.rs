//! Does what payment has to do later.

use std::time::Duration;

use base::Error;
use pg::{
    Database,
    task::{Handler, Outcome, Task},
};

use crate::{
    authorise::Authorise,
    bank::{Bank, Paid},
    confirm::Confirm,
    domain::{
        OrderId,
        payout::{PayoutId, PayoutState},
        refund::RefundId,
        wallet::TopUpId,
    },
    give_back::GiveBack,
    store::{self, Owed},
    tasks,
    top_up::FillWallet,
};

/// How soon the bank is asked again for what it has not decided yet.
const PENDING: Duration = Duration::from_secs(10);

pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) authorise: Authorise,
    pub(crate) confirm: Confirm,
    pub(crate) fill_wallet: FillWallet,
    pub(crate) give_back: GiveBack,
    pub(crate) bank: Bank,
    /// How long after a no that may not be the last word the bank is asked once more.
    pub(crate) settle_after: Duration,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let (order, top_up) = (OrderId(task.key), TopUpId(task.key));
        match task.kind.as_str() {
            tasks::ABANDON => self.authorise.abandon(order).await?,
            tasks::CONFIRM => self.confirm.resume(order).await?,
            tasks::EXPIRE => expire(&self.database, order).await?,
            tasks::LOOK_UP => self.authorise.look_up(order, tasks::is_first(task)).await?,
            tasks::REFUND => return self.give_back.run(Owed::Whole(order)).await,
            tasks::REFUND_PART => return self.give_back.run(Owed::Part(RefundId(task.key))).await,
            tasks::REFUND_TOP_UP => return self.give_back.run(Owed::TopUp(top_up)).await,
            tasks::ABANDON_TOP_UP => self.fill_wallet.abandon(top_up).await?,
            tasks::LOOK_UP_TOP_UP => {
                self.fill_wallet.look_up(top_up, tasks::is_first(task)).await?;
            }
            tasks::PAY_OUT => return self.pay_out(PayoutId(task.key), task.attempts > 1).await,
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
    }
}

impl Worker {
    /// Has the bank send a payout, which it does once, however often it is asked.
    async fn pay_out(&self, id: PayoutId, again: bool) -> Result<Outcome, Error> {
        let payout = store::payout(&mut self.database.read().await?, id, None).await?.payout;
        if payout.state != PayoutState::Requested {
            return Ok(Outcome::Done);
        }
        let paid = self.bank.pay(id, payout.amount, &payout.account).await?;
        let mut tx = self.database.begin().await?;
        let next = match &paid {
            Paid::Pending => return Ok(Outcome::Again(PENDING)),
            Paid::Refused(reason) if again && payout.failure.is_empty() => {
                store::payout_refused(&mut tx, id, reason).await?;
                Outcome::Again(self.settle_after)
            }
            Paid::Sent | Paid::Failed(_) | Paid::Refused(_) => {
                store::paid(&mut tx, id, &paid).await?;
                Outcome::Done
            }
        };
        tx.commit().await?;
        Ok(next)
    }
}

async fn expire(database: &Database, order: OrderId) -> Result<(), Error> {
    let Some(member) = store::member_of(&mut database.read().await?, order).await? else {
        return Ok(());
    };
    let mut tx = database.begin().await?;
    let (open, _) = store::update(&mut tx, order, member, |payment, wallets| {
        let outcomes = payment.expire(wallets);
        Ok((payment.attempts > 0, outcomes))
    })
    .await?;
    tx.commit().await?;
    if open {
        // It may come to wait again, past its time.
        return Err(Error::unavailable("CONFIRMING", "a confirmation is under way"));
    }
    Ok(())
}
