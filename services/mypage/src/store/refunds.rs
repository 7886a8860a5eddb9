//! What of orders' payments went back, or is going back.

use std::collections::BTreeMap;

use base::{Error, id::Uuid};
use pg::Tx;

use crate::domain::{OrderId, RefundId};

/// A refund, as payment said it.
pub(crate) struct Refund {
    pub(crate) order: OrderId,
    pub(crate) id: RefundId,
    /// Encoded.
    pub(crate) body: Vec<u8>,
    /// The payment's: of two, the higher is the later.
    pub(crate) version: i64,
}

/// Keeps the last of what was said of each refund.
pub(crate) async fn keep(tx: &mut Tx, refunds: &[Refund]) -> Result<(), Error> {
    // A statement may not touch a row twice.
    let mut latest: BTreeMap<(OrderId, RefundId), &Refund> = BTreeMap::new();
    for refund in refunds {
        let entry = latest.entry((refund.order, refund.id)).or_insert(refund);
        if entry.version < refund.version {
            *entry = refund;
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let (orders, ids): (Vec<Uuid>, Vec<Uuid>) =
        latest.keys().map(|(order, refund)| (order.0, refund.0)).unzip();
    let bodies: Vec<&[u8]> = latest.values().map(|refund| refund.body.as_slice()).collect();
    let versions: Vec<i64> = latest.values().map(|refund| refund.version).collect();
    tx.execute(
        "insert into refund_view (order_id, refund_id, body, version)
         select * from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bigint[])
         on conflict (order_id, refund_id) do update
         set body = excluded.body, version = excluded.version
         where refund_view.version < excluded.version",
        &[&orders, &ids, &bodies, &versions],
    )
    .await?;
    Ok(())
}
