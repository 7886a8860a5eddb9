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
//! - **Address**: where the goods go; delivery and My Page keep it. See `address`.
//! - **Dispatch**: a carrier gets the goods, and the member cannot cancel any more; what comes first counts.
//! - **Closing by itself**: some time after the delivery, when the member does not. See `closing`.
//! - **Part**: pieces of an order that are taken back while the rest goes on: lines that are cancelled, or a
//!   **return** that the member asks for and the shop accepts or rejects. See `parts` and `returns`.
//! - **Catalogue**: a copy of what product sells, for prices. See `catalogue`.

mod address;
mod cancel;
mod catalogue;
mod checkout;
mod closing;
mod depositor;
mod domain;
mod metrics;
mod parts;
mod policy;
mod returns;
mod service;
mod settings;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::order::v1::{
    OrderEvent, order_service_server::OrderServiceServer,
    return_service_server::ReturnServiceServer,
};
use server::{Service, ServiceBuilder};

use self::{
    address::{Addresses, Declarations},
    cancel::Cancel,
    catalogue::Catalogue,
    checkout::{Checkouts, Peers},
    depositor::Depositors,
    parts::Takings,
    settings::Settings,
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
        "V6__deliveries",
        "V7__checkout",
        "V8__parts"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let database = builder.database();
    let own: Settings = builder.own_settings()?;
    let terms = own.terms();
    let deadline = builder.settings().deadline.peer();
    let payment = builder.peer("payment")?;
    let catalogue = Catalogue::new(database.clone(), builder.peer("product")?, deadline);
    let cancel = Cancel::new(database.clone(), payment.clone(), deadline);
    let (coupon, mileage) = (builder.peer("coupon")?, builder.peer("mileage")?);
    let peers = Peers { coupon, mileage, payment: payment.clone(), deadline };
    let checkouts = Checkouts::new(database.clone(), peers.clone());
    let takings = Takings::new(&database, &payment, deadline, cancel.clone());
    let behind = Cancel::new(builder.background(), payment.clone(), deadline);
    let worker = worker::Worker {
        takings: Takings::new(&builder.background(), &payment, deadline, behind.clone()),
        cancel: behind,
        checkouts: Checkouts::new(builder.background(), peers),
        depositors: Depositors { database: builder.background(), payment, deadline },
        declarations: Declarations {
            database: builder.background(),
            delivery: builder.peer("delivery")?,
            mypage: builder.peer("mypage")?,
            deadline,
        },
    };
    let addresses = Addresses { member: builder.peer("member")?, deadline };
    let returns = returns::Returns { database: database.clone(), takings: takings.clone() };
    let orders = service::Orders { database, catalogue, addresses, cancel, checkouts, takings };
    builder
        .serve(OrderServiceServer::new(orders))
        .serve(ReturnServiceServer::new(returns))
        .publish::<OrderEvent>()
        .measure(metrics::measure)
        .work(worker)
        .follow(policy::Products)?
        .follow(policy::Payments)?
        .follow(policy::Deliveries(terms))?
        .follow(policy::Members)?;
    Ok(())
}
