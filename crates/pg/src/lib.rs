//! One database per service, and what stands on one of its transactions: migrations, locks, durable tasks,
//! idempotency keys, calls in doubt, the clock. Knows nothing of who calls, and no word of the shop.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use base::id::Uuid;
//! use pg::{Database, task::{self, Due}};
//!
//! # async fn example(database: Database, reservation: Uuid) -> Result<(), base::Error> {
//! let mut tx = database.begin().await?;
//! tx.execute("insert into reservation (id) values ($1)", &[&reservation]).await?;
//! // Committed together: there is no reservation that nobody looks after.
//! task::schedule(&mut tx, "expire", reservation, Due::After(Duration::from_hours(1)), &[]).await?;
//! tx.commit().await
//! # }
//! ```
//!
//! It refuses to make statements up: SQL is written where it belongs, and prepared here.

pub mod clock;
mod database;
pub mod idempotency;
pub mod in_doubt;
pub mod migrate;
pub mod names;
pub mod task;

pub use database::{Cause, Connector, Database, Lock, Params, Reader, Tx, YIELD};
pub use migrate::Migrations;
