//! Order: what a member bought, and how far it has come. The order is the saga.
//!
//! - **Order**: lines at the catalogue's prices, paid by one method.
//! - **Fact**: something that happened elsewhere: paid, stock decreased, delivery
//!   started. Facts may come in any order, and twice.
//! - **State**: what the facts add up to.
//! - **Milestone**: a state that others are told of; a state that jumps passes
//!   every milestone on its way.
//! - **Checkout**: what pays beside the method: a coupon, points, the prepaid balance; and the share of
//!   each that a line bears.
//! - **Pending**, **aborting**: an order before its coupon is redeemed, its points are spent, its card is
//!   charged. Nobody sees it. See `checkout`.
//! - **Cancelling**: the member asked, or the shop, and payment decides. See `cancel`.
//! - **Depositor**: who is going to pay by bank transfer; payment alone keeps the name. See `depositor`.
//! - **Catalogue**: a copy of what product sells, for prices.

mod cancel;
mod catalogue;
mod checkout;
mod depositor;
mod domain;
mod metrics;
mod policy;
mod service;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::order::v1::{OrderEvent, order_service_server::OrderServiceServer};
use server::{Service, ServiceBuilder};

use self::{
    cancel::Cancel,
    catalogue::Catalogue,
    checkout::{Checkouts, Peers},
    depositor::Depositors,
};

/// The order service.
pub const SERVICE: Service = Service {
    name: "order",
    migrations: pg::migrations![
        "V1__orders",
        "V2__limits",
        "V3__shop_cancels",
        "V4__open_orders",
        "V5__off_sale",
        "V7__checkout"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let database = builder.database();
    let deadline = builder.settings().deadline.peer();
    let payment = builder.peer("payment")?;
    let catalogue = Catalogue::new(database.clone(), builder.peer("product")?, deadline);
    let cancel = Cancel::new(database.clone(), payment.clone(), deadline);
    let (coupon, mileage) = (builder.peer("coupon")?, builder.peer("mileage")?);
    let peers = Peers { coupon, mileage, payment: payment.clone(), deadline };
    let checkouts = Checkouts::new(database.clone(), peers.clone());
    let worker = worker::Worker {
        cancel: Cancel::new(builder.background(), payment.clone(), deadline),
        checkouts: Checkouts::new(builder.background(), peers),
        depositors: Depositors { database: builder.background(), payment, deadline },
    };
    builder
        .serve(OrderServiceServer::new(service::Orders { database, catalogue, cancel, checkouts }))
        .publish::<OrderEvent>()
        .measure(metrics::measure)
        .work(worker)
        .follow(policy::Products)?
        .follow(policy::Payments)?
        .follow(policy::Deliveries)?
        .follow(policy::Members)?;
    Ok(())
}
