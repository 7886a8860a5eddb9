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
mod metrics;
mod mileage;
mod policy;
mod service;
mod store;
mod tasks;
mod wire;
mod worker;

use std::time::Duration;

use base::Error;
use contracts::payment::v1::{PaymentEvent, payment_service_server::PaymentServiceServer};
use pg::Database;
use serde::Deserialize;
use server::{Service, ServiceBuilder};

use self::{acquirer::Acquirer, authorise::Authorise, confirm::Confirm, mileage::Mileage};

/// The payment service.
pub const SERVICE: Service = Service {
    name: "payment",
    migrations: pg::migrations!["V1__payments", "V2__hot_wallets", "V3__ledger_plan"],
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

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let own: Settings = builder.own_settings()?;
    let (product, mileage) = (builder.peer("product")?, Mileage::new(builder.peer("mileage")?));
    let acquirer = Acquirer::new(&own.acquirer)?;
    let deadline = builder.settings().deadline.peer();
    // For calls, and for the work behind them.
    let both = |database: &Database| {
        let (database, mileage) = (database.clone(), mileage.clone());
        (
            Authorise::new(database.clone(), acquirer.clone(), mileage.clone(), deadline),
            Confirm::new(database, product.clone(), mileage, deadline),
        )
    };
    let (database, background) = (builder.database(), builder.background());
    let (authorise, confirm) = both(&database);
    let payments = service::Payments { database, authorise, confirm };
    let (authorise, confirm) = both(&background);
    let worker = worker::Worker { database: background, authorise, confirm, acquirer };
    let deposit_within = Duration::from_secs(own.deposit_within_s);
    builder
        .serve(PaymentServiceServer::new(payments))
        .publish::<PaymentEvent>()
        .work(worker)
        .follow(policy::Orders { deposit_within })?;
    Ok(())
}
