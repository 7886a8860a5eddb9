//! Parts of payments that go back without the rest, and what a payment is left with.

use std::collections::BTreeMap;

use base::{Error, Money, id::Uuid};
use pg::{Tx, clock};

use super::{Stored, deposit, lock, update};
use crate::{
    domain::{
        MemberId, OrderId, Payment, Refusal, State,
        deposit::{DepositId, HeldReason},
        part::{Part, PartId},
    },
    tasks,
};

/// Carries out a part, once. Answers whether nothing had been paid.
pub(crate) async fn refund(
    tx: &mut Tx,
    order: OrderId,
    member: MemberId,
    part: Part,
) -> Result<bool, Error> {
    // The payment first: whoever repeats a part waits for its first attempt.
    lock(tx, order, member).await?;
    let (id, amount, wallet) = (part.id, part.amount.minor(), part.wallet.minor());
    if let Some(unpaid) = carried_out(tx, order, id).await? {
        return Ok(unpaid);
    }
    let (unpaid, stored) = update(tx, order, member, |payment, wallets| {
        let unpaid = payment.state == State::WaitingForDeposit;
        match payment.refund_part(part, wallets) {
            Ok(outcomes) => Ok((unpaid, outcomes)),
            Err(refusal @ Refusal::MoreThanIsLeft) => {
                Err(Error::internal(format!("part {id} of the order {order}: {refusal}")))
            }
            Err(refusal) => Err(refusal.into()),
        }
    })
    .await?;
    tx.execute(
        "insert into payment_part (id, order_id, amount_minor, wallet_minor, unpaid)
         values ($1, $2, $3, $4, $5)",
        &[&id.0, &order.0, &amount, &wallet, &unpaid],
    )
    .await?;
    if unpaid {
        complete(tx, &stored.payment).await?;
    }
    Ok(unpaid)
}

/// How a part was carried out, if it was.
async fn carried_out(tx: &mut Tx, order: OrderId, id: PartId) -> Result<Option<bool>, Error> {
    let sql = "select order_id, unpaid from payment_part where id = $1";
    let Some(row) = tx.query_opt(sql, &[&id.0]).await? else { return Ok(None) };
    if row.get::<_, Uuid>(0) != order.0 {
        return Err(Error::violation("partId", "is a part of another order"));
    }
    Ok(Some(row.get(1)))
}

/// Less is due than before: what is held of it may be all of it now, and then pays it as the last of
/// several deposits would; or more, and then somebody has to see to it.
async fn complete(tx: &mut Tx, payment: &Payment) -> Result<(), Error> {
    let held = deposit::parts(tx, payment.order, DepositId(Uuid::nil())).await?;
    let sum = deposit::sum(&held)?;
    let (due, now) = (payment.amount, clock::now(tx).await?);
    let Some(last) = held.last().filter(|_| sum >= due) else { return Ok(()) };
    if sum > due {
        return deposit::release_short(tx, &[payment.order.0], HeldReason::Excess).await;
    }
    if payment.deposit_due.is_some_and(|due| now >= due) {
        return Ok(());
    }
    let depositor = last.deposit.depositor.clone();
    for mut part in held {
        let amount = part.deposit.amount;
        part.deposit.begin_match(payment, amount);
        part.save(tx).await?;
    }
    // This attempt never calls product, and so keeps the payment CONFIRMING until the task's is definite.
    update(tx, payment.order, payment.member, |payment, _| {
        Ok((payment.confirm(due, &depositor, now)?, Vec::new()))
    })
    .await?;
    tasks::confirm(tx, payment.order).await
}

/// Few payments have a part that the wallet pays beside the method, or parts that went back.
pub(super) async fn save_amounts(
    tx: &mut Tx,
    payments: &[&Stored],
    before: &BTreeMap<OrderId, Stored>,
) -> Result<(), Error> {
    let amounts =
        |it: &Stored| (it.payment.wallet, it.payment.refunded, it.payment.wallet_refunded);
    let changed: Vec<&Payment> = payments
        .iter()
        .filter(|stored| before.get(&stored.payment.order).map(amounts) != Some(amounts(stored)))
        .map(|stored| &stored.payment)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Payment) -> Money| -> Vec<i64> {
        changed.iter().map(|payment| of(payment).minor()).collect()
    };
    tx.execute(
        "update payment set wallet_minor = n.w, refunded_minor = n.r, wallet_refunded_minor = n.wr
         from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) as n(o, w, r, wr)
         where payment.order_id = n.o",
        &[
            &changed.iter().map(|payment| payment.order.0).collect::<Vec<_>>(),
            &column(|payment| payment.wallet),
            &column(|payment| payment.refunded),
            &column(|payment| payment.wallet_refunded),
        ],
    )
    .await?;
    Ok(())
}
