//! Delivery: the goods of one order on their way.
//!
//! - **Delivery**: STARTED when the order is prepared, COMPLETED when its receipt is
//!   confirmed, CANCELLED with it; REFUSED (unseen) when the order was cancelled
//!   before it was prepared.
//!
//! Deliveries follow their orders: there is nothing to command here.

mod domain;
mod policy;
mod service;
mod store;

use base::Error;
use contracts::delivery::v1::{DeliveryEvent, delivery_service_server::DeliveryServiceServer};
use server::{Service, ServiceBuilder};

/// The delivery service.
pub const SERVICE: Service =
    Service { name: "delivery", migrations: pg::migrations!["V1__deliveries"], build };

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let deliveries = service::Deliveries::new(builder.database());
    builder
        .serve(DeliveryServiceServer::new(deliveries))
        .publish::<DeliveryEvent>()
        .follow(policy::Orders)?;
    Ok(())
}
