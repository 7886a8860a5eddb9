//! Payment: the money side of each order, and members' prepaid wallets.
//!
//! - **Payment**: one an order: DONE, DECLINED, CANCELLED, EXPIRED; REFUSED (unseen)
//!   when the order was cancelled before payment heard of it.
//! - **Authorise**: charge a card for an order that is about to be placed.
//! - **Deposit**: what a bank transfer waits for, until the seller confirms it.
//! - **Wallet**: a member's prepaid balance, never below 0.
//! - **Ledger**: double-entry and written once. Accounts: each WALLET, SALES (what
//!   the shop earned), CARD, BANK and SANDBOX (where money comes from). A transaction's entries
//!   sum to zero; a wallet's balance is the sum of its entries.

mod acquirer;
mod authorise;
mod confirm;
mod domain;
mod gauge;
mod mileage;
mod policy;
mod render;
mod service;
mod store;
mod tasks;
mod words;
mod worker;

use std::{sync::Arc, time::Duration};

use contracts::{
    order::v1::{OrderEvent, order_events_server::OrderEventsServer},
    payment::v1::{
        payment_events_server::PaymentEventsServer, payment_service_server::PaymentServiceServer,
    },
};
use kit::{Error, House, Service};
use serde::Deserialize;

/// The payment service.
pub const SERVICE: Service = Service {
    name: "payment",
    migrations: kit::migrations!["V1__payments", "V2__hot_wallets", "V3__ledger_plan"],
    build,
};

/// What can be set under `[service.payment]`.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// How long a deposit is waited for, in seconds.
    deposit_within_s: u64,
    /// Who charges cards.
    acquirer: acquirer::Settings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deposit_within_s: domain::DEPOSIT_WITHIN.as_secs(),
            acquirer: acquirer::Settings::default(),
        }
    }
}

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let own: Settings = house.own_settings()?;
    let parts = service::Parts {
        database: house.database(),
        product: house.peer("product")?,
        mileage: mileage::Mileage::new(house.peer("mileage")?),
        acquirer: acquirer::Acquirer::new(&own.acquirer)?,
        deadline: house.settings().deadline.peer(),
    };
    let behind = service::Parts { database: house.background(), ..parts.clone() };
    let deposit_within = Duration::from_secs(own.deposit_within_s);
    house
        .serve(PaymentServiceServer::new(service::Payments(Arc::new(parts))))
        .publish::<PaymentEventsServer<()>>()
        .work(worker::Worker(Arc::new(behind)))
        .follow::<OrderEventsServer<()>, OrderEvent, _>(
            "order",
            &["OrderPlaced", "OrderCancelled"],
            policy::Orders { deposit_within },
        )?;
    Ok(())
}
