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
    store, tasks,
    top_up::FillWallet,
};

/// How soon the bank is asked again for what it has not decided yet.
const PENDING: Duration = Duration::from_secs(10);

pub(crate) struct Worker {
    pub(crate) database: Database,
    pub(crate) authorise: Authorise,
    pub(crate) confirm: Confirm,
    pub(crate) fill_wallet: FillWallet,
    pub(crate) bank: Bank,
}

impl Handler for Worker {
    async fn handle(&self, task: &Task) -> Result<Outcome, Error> {
        let (order, top_up) = (OrderId(task.key), TopUpId(task.key));
        match task.kind.as_str() {
            tasks::ABANDON => self.authorise.abandon(order).await?,
            tasks::CONFIRM => self.confirm.resume(order).await?,
            tasks::EXPIRE => expire(&self.database, order).await?,
            tasks::LOOK_UP => self.authorise.look_up(order).await?,
            tasks::REFUND => return self.authorise.refund(order).await,
            tasks::REFUND_PART => return self.authorise.refund_part(RefundId(task.key)).await,
            tasks::ABANDON_TOP_UP => self.fill_wallet.abandon(top_up).await?,
            tasks::LOOK_UP_TOP_UP => self.fill_wallet.look_up(top_up).await?,
            tasks::REFUND_TOP_UP => self.fill_wallet.refund(top_up).await?,
            tasks::PAY_OUT => return pay_out(&self.database, &self.bank, PayoutId(task.key)).await,
            _ => return Err(task.unknown()),
        }
        Ok(Outcome::Done)
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

/// Has the bank send a payout, which it does once, however often it is asked.
async fn pay_out(database: &Database, bank: &Bank, id: PayoutId) -> Result<Outcome, Error> {
    let payout = store::payout(&mut database.read().await?, id, None).await?.payout;
    if payout.state != PayoutState::Requested {
        return Ok(Outcome::Done);
    }
    let paid = bank.pay(id, payout.amount, &payout.account).await?;
    if paid == Paid::Pending {
        return Ok(Outcome::Again(PENDING));
    }
    let mut tx = database.begin().await?;
    store::paid(&mut tx, id, &paid).await?;
    tx.commit().await?;
    Ok(Outcome::Done)
}
