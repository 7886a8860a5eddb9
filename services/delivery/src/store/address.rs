//! The SQL of where orders' goods go.

use base::{Error, id::Uuid};
use pg::Tx;

use crate::domain::{MemberId, OrderId};

/// Keeps where an order's goods go, unless that is known, or its member is erased.
pub(crate) async fn keep(
    tx: &mut Tx,
    order: OrderId,
    member: MemberId,
    address: &[u8],
) -> Result<(), Error> {
    // Locks the member's row: an erasure waits for this, or this for it.
    let sql = "insert into addressee (member_id) values ($1)
         on conflict (member_id) do update set member_id = excluded.member_id returning erased";
    if tx.query_one(sql, &[&member.0]).await?.get(0) {
        return Ok(());
    }
    let sql = "insert into delivery_address (order_id, member_id, address) values ($1, $2, $3)
         on conflict (order_id) do nothing";
    tx.execute(sql, &[&order.0, &member.0, &address]).await?;
    Ok(())
}

/// Forgets where the goods of these members went, and keeps nothing of them that comes late.
pub(crate) async fn erase_members(tx: &mut Tx, members: &[Uuid]) -> Result<(), Error> {
    tx.execute(
        "insert into addressee (member_id, erased)
         select id, true from (select distinct unnest($1::uuid[]) as id) m order by id
         on conflict (member_id) do update set erased = true",
        &[&members],
    )
    .await?;
    tx.execute("delete from delivery_address where member_id = any($1)", &[&members]).await?;
    Ok(())
}
