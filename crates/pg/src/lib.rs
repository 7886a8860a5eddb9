//! One database per service, and what stands on one of its transactions: migrations, locks, durable tasks,
//! idempotency keys, calls in doubt, the clock. Knows nothing of who calls, and no word of the shop.

pub mod clock;
mod database;
pub mod idempotency;
pub mod in_doubt;
pub mod migrate;
pub mod names;
pub mod task;

pub use database::{Cause, Connector, Database, Lock, Params, Reader, Tx, YIELD};
pub use migrate::Migrations;
