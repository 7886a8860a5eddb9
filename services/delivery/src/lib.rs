//! Delivery: the goods of one order on their way.
//!
//! - **Delivery**: STARTED when the order is prepared, DISPATCHED when a carrier has the parcel, DELIVERED
//!   when it has arrived, COMPLETED when the order is closed, CANCELLED with it; REFUSED (unseen) when the
//!   order was cancelled before it was prepared.
//! - **Parcel**: who carries it, and the number that they know it by.
//! - **Dispatch**: the seller says it, and order decides: a member's cancellation may have come first. See
//!   `dispatch`.
//! - **Notice**: what a carrier says of a parcel, signed with a secret that we share. See `carrier`.
//! - **Address**: where the goods go, as order said when it was placed. Personal data: in no event, and
//!   erased with the member.

mod carrier;
mod dispatch;
mod domain;
mod policy;
mod service;
mod settings;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::delivery::v1::{
    DeliveryEvent, carrier_service_server::CarrierServiceServer,
    delivery_service_server::DeliveryServiceServer,
};
use server::{Service, ServiceBuilder};

use self::{dispatch::Dispatch, settings::Settings};

/// The delivery service.
pub const SERVICE: Service = Service {
    name: "delivery",
    migrations: pg::migrations!["V1__deliveries", "V2__parcels"],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let own: Settings = builder.own_settings()?;
    let database = builder.database();
    let deadline = builder.settings().deadline.peer();
    let order = builder.peer("order")?;
    let dispatch = Dispatch::new(database.clone(), order.clone(), deadline);
    let worker = worker::Worker { dispatch: Dispatch::new(builder.background(), order, deadline) };
    let carriers = carrier::Carriers::new(database.clone(), own.carriers)?;
    let deliveries = service::Deliveries { database, dispatch };
    builder
        .serve(DeliveryServiceServer::new(deliveries))
        .serve(CarrierServiceServer::new(carriers))
        .publish::<DeliveryEvent>()
        .work(worker)
        .follow(policy::Orders)?
        .follow(policy::Members)?;
    Ok(())
}
