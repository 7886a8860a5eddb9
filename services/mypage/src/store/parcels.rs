//! Who carries orders' parcels.

use base::{Error, id::Uuid};
use pg::Tx;

use crate::domain::OrderId;

/// A parcel, as delivery said it.
pub(crate) struct Parcel {
    pub(crate) order: OrderId,
    pub(crate) carrier: String,
    pub(crate) tracking_number: String,
}

/// Keeps the parcel of each order, whose part of delivery has been set before.
pub(crate) async fn keep(tx: &mut Tx, parcels: &[Parcel]) -> Result<(), Error> {
    if parcels.is_empty() {
        return Ok(());
    }
    let orders: Vec<Uuid> = parcels.iter().map(|parcel| parcel.order.0).collect();
    let carriers: Vec<&str> = parcels.iter().map(|parcel| &*parcel.carrier).collect();
    let numbers: Vec<&str> = parcels.iter().map(|parcel| &*parcel.tracking_number).collect();
    tx.execute(
        "update order_view set carrier = n.carrier, tracking_number = n.tracking_number
         from unnest($1::uuid[], $2::text[], $3::text[]) as n (order_id, carrier, tracking_number)
         where order_view.order_id = n.order_id",
        &[&orders, &carriers, &numbers],
    )
    .await?;
    Ok(())
}
