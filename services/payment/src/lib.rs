//! Payment: the money side of each order, and members' prepaid wallets.
//!
//! - **Payment**: one an order: DONE, DECLINED, CANCELLED, EXPIRED; REFUSED (unseen)
//!   when the order was cancelled before payment heard of it.
//! - **Part**: what pieces of an order bear of its payment: it goes back when they are cancelled or
//!   returned, and the rest stays paid; while a deposit is waited for, less is due.
//! - **Authorise**: charge a card for an order that is about to be placed.
//! - **Deposit**: what arrived on the shop's bank account. It is MATCHED with a payment that waits
//!   for it, or HELD until somebody matches, refunds or credits it.
//! - **Refund**: money that goes back: REFUNDING, REFUNDED, or FAILED when the acquirer refuses it, until
//!   somebody has it asked again or settles it by hand.
//! - **Wallet**: a member's prepaid balance, never below 0. It is topped up by card, adjusted by
//!   admins with a reason, and paid out.
//! - **Payout**: money on its way to a bank account: REQUESTED, SENT, FAILED (and back).
//! - **Ledger**: double-entry and written once. Accounts: each WALLET, SALES (what the shop
//!   earned), CARD and BANK (where money comes from), HELD (what came in and belongs to whoever paid
//!   it), PAYOUT (on its way out), ADJUSTMENT. A transaction's entries sum to zero; a wallet's balance
//!   is the sum of its entries.
//!
//! What charges and pays out: `acquirer`, `bank`, both over `json`. Commands that call others: `authorise`,
//! `confirm`, `top_up`. What a card gets back: `give_back`. Points: `mileage`. Calls about deposits and refunds:
//! `deposits`, `refunds`. What is to be done later: `tasks` says when.

mod acquirer;
mod authorise;
mod bank;
mod confirm;
mod deposits;
mod domain;
mod give_back;
mod json;
mod metrics;
mod mileage;
mod policy;
mod refunds;
mod service;
mod settings;
mod store;
mod tasks;
mod top_up;
mod wire;
mod worker;

use std::time::Duration;

use base::Error;
use contracts::payment::v1::{
    PaymentEvent, deposit_service_server::DepositServiceServer,
    payment_service_server::PaymentServiceServer, refund_service_server::RefundServiceServer,
};
use pg::Database;
use server::{Service, ServiceBuilder};

use self::{
    acquirer::Acquirer, authorise::Authorise, bank::Bank, confirm::Confirm, give_back::GiveBack,
    mileage::Mileage, top_up::FillWallet,
};

/// The payment service.
pub const SERVICE: Service = Service {
    name: "payment",
    migrations: pg::migrations![
        "V1__payments",
        "V2__hot_wallets",
        "V3__ledger_plan",
        "V4__wallets",
        "V5__refunds",
        "V6__deposits",
        "V7__wallet_parts",
        "V8__parts",
        "V9__refund_cases",
        "V10__erasure",
        "V11__versions"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let own: settings::Settings = builder.own_settings()?;
    let (product, mileage) = (builder.peer("product")?, Mileage::new(builder.peer("mileage")?));
    let acquirer = Acquirer::new(&own.acquirer)?;
    let bank = Bank::new(&own.bank)?;
    let deadline = builder.settings().deadline.peer();
    let settle_after = Duration::from_secs(own.settle_after_s);
    // For calls, and for the work behind them.
    let both = |database: &Database| {
        let (database, mileage) = (database.clone(), mileage.clone());
        let (again, card) = (database.clone(), acquirer.clone());
        (
            Authorise::new(again, card, mileage.clone(), deadline, settle_after),
            Confirm::new(database.clone(), product.clone(), mileage, deadline),
            FillWallet::new(database, acquirer.clone(), deadline, settle_after),
        )
    };
    let (database, background) = (builder.database(), builder.background());
    let (authorise, confirm, fill_wallet) = both(&database);
    let deposits = deposits::Deposits { database: database.clone(), confirm: confirm.clone() };
    let refunds = refunds::Refunds { database: database.clone() };
    let payments = service::Payments { database, authorise, confirm, fill_wallet };
    let (authorise, confirm, fill_wallet) = both(&background);
    let give_back = GiveBack { database: background.clone(), acquirer };
    let database = background;
    let worker =
        worker::Worker { database, authorise, confirm, fill_wallet, give_back, bank, settle_after };
    let deposit_within = Duration::from_secs(own.deposit_within_s);
    builder
        .serve(PaymentServiceServer::new(payments))
        .serve(DepositServiceServer::new(deposits))
        .serve(RefundServiceServer::new(refunds))
        .publish::<PaymentEvent>()
        .work(worker)
        .measure(metrics::measure)
        .follow(policy::Orders { deposit_within })?
        .follow(policy::Members)?;
    Ok(())
}
