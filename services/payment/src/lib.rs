//! Payment: the money side of each order, and members' prepaid wallets.
//!
//! - **Payment**: one an order: DONE, DECLINED, CANCELLED; REFUSED (unseen) when the
//!   order was cancelled before payment heard of it.
//! - **Wallet**: a member's prepaid balance, never below 0.
//! - **Ledger**: double-entry and written once. Accounts: each WALLET, SALES (what
//!   the shop earned) and SANDBOX (where top-ups come from). A transaction's entries
//!   sum to zero; a wallet's balance is the sum of its entries.

mod domain;
mod policy;
mod render;
mod service;
mod store;
mod words;

use contracts::{
    order::v1::{OrderEvent, order_events_server::OrderEventsServer},
    payment::v1::{
        payment_events_server::PaymentEventsServer, payment_service_server::PaymentServiceServer,
    },
};
use kit::{Error, House, Service};

/// The payment service.
pub const SERVICE: Service =
    Service { name: "payment", migrations: kit::migrations!["V1__payments"], build };

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let payments = service::Payments::new(house.database());
    house
        .serve(PaymentServiceServer::new(payments))
        .publish::<PaymentEventsServer<()>>()
        .follow::<OrderEventsServer<()>, OrderEvent, _>(
        "order",
        &["OrderPlaced", "OrderCancelled"],
        policy::Orders,
    )?;
    Ok(())
}
