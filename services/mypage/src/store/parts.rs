//! What was taken back of orders.

use std::{collections::BTreeSet, time::SystemTime};

use base::{Error, id::Uuid};
use pg::Tx;
use tokio_postgres::Row;

use super::changes;
use crate::domain::{MemberId, OrderId};

/// What order said of a cancellation of lines, or of a return.
pub(crate) struct PartEvent {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    /// The order's: of two, the higher is the later.
    pub(crate) version: i64,
    pub(crate) at: SystemTime,
    /// The encoded `OrderEvent`.
    pub(crate) body: Vec<u8>,
}

/// What was said of the order of a row.
pub(super) fn of(row: &Row) -> Vec<(SystemTime, Vec<u8>)> {
    let times = row.get::<_, Option<Vec<SystemTime>>>("part_times").unwrap_or_default();
    let bodies = row.get::<_, Option<Vec<Vec<u8>>>>("parts").unwrap_or_default();
    times.into_iter().zip(bodies).collect()
}

/// Keeps what was said, each once.
pub(crate) async fn keep(tx: &mut Tx, events: &[PartEvent]) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    let counted = changes::count(tx, events.iter().map(|it| it.member), &BTreeSet::new()).await?;
    let orders: Vec<Uuid> = events.iter().map(|it| it.order.0).collect();
    let versions: Vec<i64> = events.iter().map(|it| it.version).collect();
    let times: Vec<SystemTime> = events.iter().map(|it| it.at).collect();
    let bodies: Vec<&[u8]> = events.iter().map(|it| it.body.as_slice()).collect();
    let changes: Vec<i64> = events.iter().map(|it| counted[&it.member]).collect();
    tx.execute(
        "with seen as (
           update order_view set change = n.change
           from (select distinct on (o) o, change from unnest($1::uuid[], $5::bigint[]) as n (o, change)
             order by o, change desc) n
           where order_view.order_id = n.o)
         insert into part_event (order_id, version, at, body)
         select * from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[])
         on conflict (order_id, version) do nothing",
        &[&orders, &versions, &times, &bodies, &changes],
    )
    .await?;
    Ok(())
}
