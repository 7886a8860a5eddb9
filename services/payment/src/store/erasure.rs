//! What is personal of members who have left. What is needed to pay money back is kept until it is
//! settled: who paid a deposit that is held, and the account that a payout goes to. The rest goes with the
//! member, and what is settled later goes then.

use base::{Error, id::Uuid};
use pg::Tx;

use crate::domain::{deposit::DepositId, payout::PayoutId};

/// Erases what is settled of members: who paid for them, and where their money went.
pub(crate) async fn erase_members(tx: &mut Tx, members: &[Uuid]) -> Result<(), Error> {
    for sql in [
        "insert into erased_member (member_id) select unnest($1::uuid[]) on conflict do nothing",
        // Locked as whoever settles them does: what is being settled is erased here, the rest there.
        "select from payout where member_id = any($1) order by id for update",
        "select from payout where deposit_id in (select id from deposit where member_id = any($1))
         order by id for update",
        "update payment set depositor_name = '', declared_depositor = ''
         where member_id = any($1) and (depositor_name <> '' or declared_depositor <> '')",
        "select from deposit where member_id = any($1) order by id for update",
        "update payout set account_number = '', holder = ''
         where member_id = any($1) and state <> 'REQUESTED' and holder <> ''",
        "update payout set account_number = '', holder = ''
         where deposit_id in (select id from deposit where member_id = any($1))
           and state <> 'REQUESTED' and holder <> ''",
        // By member: most deposits of all members are in these states.
        "update deposit set depositor_name = '' where member_id = any($1)
           and state || '' in ('MATCHED', 'REFUNDED', 'CREDITED') and depositor_name <> ''",
    ] {
        tx.execute(sql, &[&members]).await?;
    }
    Ok(())
}

/// A payout has ended, and is saved.
pub(super) async fn payout_settled(tx: &mut Tx, id: PayoutId) -> Result<(), Error> {
    let sql = "update payout set account_number = '', holder = ''
         where id = $1 and exists (select from erased_member e where e.member_id = coalesce(
           payout.member_id, (select d.member_id from deposit d where d.id = payout.deposit_id)))";
    tx.execute(sql, &[&id.0]).await?;
    Ok(())
}

/// A deposit belongs to nobody but the shop or a wallet any more, and is saved.
pub(super) async fn deposit_settled(tx: &mut Tx, id: DepositId) -> Result<(), Error> {
    let sql = "update deposit set depositor_name = '' where id = $1
         and exists (select from erased_member e where e.member_id = deposit.member_id)";
    tx.execute(sql, &[&id.0]).await?;
    Ok(())
}
