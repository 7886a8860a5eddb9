//! My Page: a member's orders with their history, as a projection.
//!
//! - **Projection**: read models built from what the other services published, and
//!   from nothing else. Seconds behind at most; readable while all others are down.
//! - **Milestone**: a state that an order passed, with its Korean label.
//!
//! Nothing can be commanded here, and nothing here publishes events.

mod policy;
mod service;
mod store;

use contracts::{
    delivery::v1::{DeliveryEvent, delivery_events_server::DeliveryEventsServer},
    mypage::v1::my_page_service_server::MyPageServiceServer,
    order::v1::{OrderEvent, order_events_server::OrderEventsServer},
    payment::v1::{PaymentEvent, payment_events_server::PaymentEventsServer},
};
use kit::{Error, House, Service};

/// The My Page service.
pub const SERVICE: Service =
    Service { name: "mypage", migrations: kit::migrations!["V1__mypage"], build };

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let pages = service::Pages::new(house.database());
    house
        .serve(MyPageServiceServer::new(pages))
        .follow::<OrderEventsServer<()>, OrderEvent, _>("order", &[], policy::Orders)?
        .follow::<PaymentEventsServer<()>, PaymentEvent, _>(
            "payment",
            &["PaymentApproved", "PaymentDeclined", "PaymentCancelled"],
            policy::Payments,
        )?
        .follow::<DeliveryEventsServer<()>, DeliveryEvent, _>(
            "delivery",
            &[],
            policy::Deliveries,
        )?;
    Ok(())
}
