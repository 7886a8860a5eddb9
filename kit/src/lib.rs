//! What every service stands on: configuration, database, events, calls, the
//! server. Knows no word of the shop, and imports no crate of the workspace.

pub mod access;
pub mod auth;
mod backoff;
pub mod clock;
pub mod config;
pub mod database;
pub mod error;
pub mod event;
pub mod fail_point;
pub mod id;
pub mod idempotency;
pub mod in_doubt;
pub mod incoming;
pub mod input;
pub mod migrate;
pub mod money;
pub mod names;
mod observe;
pub mod page;
mod revocation;
pub mod rpc;
pub mod server;
pub mod service;
mod stop;
pub mod task;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

pub use database::{Cause, Database, Tx};
pub use error::{Error, Refuse};
pub use incoming::Incoming;
pub use money::Money;
pub use service::{Service, ServiceBuilder};
pub use stop::Stop;
