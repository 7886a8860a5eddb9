//! Where orders' goods go: personal data, in no event, and erased with its member.

use std::collections::BTreeSet;

use base::{Error, id::Uuid};
use pg::Tx;

use super::changes;
use crate::domain::{MemberId, OrderId};

/// Keeps where an order's goods go, encoded, unless that is known, or its member is erased.
pub(crate) async fn keep(
    tx: &mut Tx,
    order: OrderId,
    member: MemberId,
    address: &[u8],
) -> Result<(), Error> {
    // Locks the member: an erasure waits for this, or this for it.
    let counted = changes::count(tx, [member], &BTreeSet::new()).await?;
    let sql = "select from erased_member where member_id = $1";
    if tx.query_opt(sql, &[&member.0]).await?.is_some() {
        return Ok(());
    }
    let sql = "insert into address_view (order_id, member_id, body) values ($1, $2, $3)
         on conflict (order_id) do nothing";
    if tx.execute(sql, &[&order.0, &member.0, &address]).await? > 0 {
        let sql = "update order_view set change = $2 where order_id = $1";
        tx.execute(sql, &[&order.0, &counted[&member]]).await?;
    }
    Ok(())
}

/// Forgets where the goods of these members went, and keeps nothing of them that comes late.
pub(crate) async fn erase_members(tx: &mut Tx, members: &[MemberId]) -> Result<(), Error> {
    if members.is_empty() {
        return Ok(());
    }
    changes::count(tx, members.iter().copied(), &BTreeSet::new()).await?;
    let members: Vec<Uuid> = members.iter().map(|member| member.0).collect();
    let sql = "insert into erased_member (member_id) select distinct unnest($1::uuid[])
         on conflict do nothing";
    tx.execute(sql, &[&members]).await?;
    tx.execute("delete from address_view where member_id = any($1)", &[&members]).await?;
    Ok(())
}
