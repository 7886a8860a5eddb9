//! Order: what a member bought, and how far it has come. The order is the saga.
//!
//! - **Order**: lines at the catalogue's prices, paid by one method.
//! - **Fact**: something that happened elsewhere: paid, stock decreased, delivery
//!   started. Facts may come in any order, and twice.
//! - **State**: what the facts add up to.
//! - **Milestone**: a state that others are told of; a state that jumps passes
//!   every milestone on its way.
//! - **Cancelling**: the member asked, payment decides. See `cancel`.
//! - **Catalogue**: a copy of what product sells, for prices.

mod cancel;
mod catalogue;
mod domain;
mod policy;
mod render;
mod service;
mod store;
mod words;

use contracts::{
    delivery::v1::{DeliveryEvent, delivery_events_server::DeliveryEventsServer},
    order::v1::{order_events_server::OrderEventsServer, order_service_server::OrderServiceServer},
    payment::v1::{PaymentEvent, payment_events_server::PaymentEventsServer},
    product::v1::{ProductEvent, product_events_server::ProductEventsServer},
};
use kit::{Error, House, Service};

/// The order service.
pub const SERVICE: Service =
    Service { name: "order", migrations: kit::migrations!["V1__orders"], build };

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let database = house.database();
    let deadline = house.settings().deadline.peer();
    let catalogue = catalogue::Catalogue::new(database.clone(), house.peer("product")?, deadline);
    let cancel = cancel::Cancel::new(database.clone(), house.peer("payment")?, deadline);
    house
        .serve(OrderServiceServer::new(service::Orders::new(database, catalogue, cancel.clone())))
        .publish::<OrderEventsServer<()>>()
        .work(cancel)
        .follow::<ProductEventsServer<()>, ProductEvent, _>(
            "product",
            &["ProductRegistered", "ProductUpdated", "StockDecreased", "StockShort"],
            policy::Products,
        )?
        .follow::<PaymentEventsServer<()>, PaymentEvent, _>(
            "payment",
            &["PaymentApproved", "PaymentDeclined", "PaymentCancelled"],
            policy::Payments,
        )?
        .follow::<DeliveryEventsServer<()>, DeliveryEvent, _>(
            "delivery",
            &["DeliveryStarted"],
            policy::Deliveries,
        )?;
    Ok(())
}
