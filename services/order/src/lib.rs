//! Order: what a member bought, and how far it has come. The order is the saga.
//!
//! - **Order**: lines at the catalogue's prices, paid by one method.
//! - **Fact**: something that happened elsewhere: paid, stock decreased, delivery
//!   started. Facts may come in any order, and twice.
//! - **State**: what the facts add up to.
//! - **Milestone**: a state that others are told of; a state that jumps passes
//!   every milestone on its way.
//! - **Pending**, **aborting**: a card order before payment has charged the card.
//!   Nobody sees it. See `card`.
//! - **Cancelling**: the member asked, payment decides. See `cancel`.
//! - **Catalogue**: a copy of what product sells, for prices.

mod cancel;
mod card;
mod catalogue;
mod domain;
mod gauge;
mod policy;
mod render;
mod service;
mod store;
mod words;
mod worker;

use contracts::{
    delivery::v1::{DeliveryEvent, delivery_events_server::DeliveryEventsServer},
    member::v1::{MemberEvent, member_events_server::MemberEventsServer},
    order::v1::{order_events_server::OrderEventsServer, order_service_server::OrderServiceServer},
    payment::v1::{PaymentEvent, payment_events_server::PaymentEventsServer},
    product::v1::{ProductEvent, product_events_server::ProductEventsServer},
};
use kit::{Error, House, Service};

use self::{cancel::Cancel, card::Card, catalogue::Catalogue};

/// The order service.
pub const SERVICE: Service =
    Service { name: "order", migrations: kit::migrations!["V1__orders", "V2__limits"], build };

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let database = house.database();
    let deadline = house.settings().deadline.peer();
    let payment = house.peer("payment")?;
    let catalogue = Catalogue::new(database.clone(), house.peer("product")?, deadline);
    let cancel = Cancel::new(database.clone(), payment.clone(), deadline);
    let card = Card::new(database.clone(), payment.clone(), deadline);
    let worker = worker::Worker {
        cancel: Cancel::new(house.background(), payment.clone(), deadline),
        card: Card::new(house.background(), payment.clone(), deadline),
    };
    house
        .serve(OrderServiceServer::new(service::Orders { database, catalogue, cancel, card }))
        .publish::<OrderEventsServer<()>>()
        .measure(gauge::measure)
        .work(worker)
        .follow::<ProductEventsServer<()>, ProductEvent, _>(
            "product",
            &["ProductRegistered", "ProductUpdated", "StockDecreased", "StockShort"],
            policy::Products,
        )?
        .follow::<PaymentEventsServer<()>, PaymentEvent, _>(
            "payment",
            &[
                "DepositRequested",
                "PaymentApproved",
                "PaymentDeclined",
                "PaymentCancelled",
                "DepositExpired",
            ],
            policy::Payments,
        )?
        .follow::<DeliveryEventsServer<()>, DeliveryEvent, _>(
            "delivery",
            &["DeliveryStarted"],
            policy::Deliveries,
        )?
        .follow::<MemberEventsServer<()>, MemberEvent, _>(
            "member",
            &["MemberWithdrawn"],
            policy::Members,
        )?;
    Ok(())
}
