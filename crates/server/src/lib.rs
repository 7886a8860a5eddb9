//! How a service is built and served. [`Service`] is what a service is, [`ServiceBuilder`] where it is wired,
//! [`Server`] a process with some of them, [`Incoming`] a call as a handler sees it. Knows no word of the shop.

pub mod incoming;
mod observe;
mod operators;
mod serve;
mod service;

pub use incoming::Incoming;
pub use operators::clock;
pub use serve::{Server, migrate_all};
pub use service::{Service, ServiceBuilder};
