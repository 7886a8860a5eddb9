//! How a service is built and served. [`Service`] is what a service is, [`ServiceBuilder`] where it is wired,
//! [`Server`] a process with some of them, [`Incoming`] a call as a handler sees it. Knows no word of the shop.
//!
//! ```
//! use server::{Service, ServiceBuilder};
//!
//! static KITCHEN: Service = Service {
//!     name: "kitchen",
//!     migrations: pg::migrations![],
//!     build: |builder: &mut ServiceBuilder<'_>| {
//!         let _database = builder.database();
//!         // .serve(…), .publish::<…>(), .follow(…), .work(…)
//!         Ok(())
//!     },
//! };
//! assert_eq!(KITCHEN.name, "kitchen");
//! ```
//!
//! It refuses to serve a method that does not say who may call it.

mod accept;
pub mod incoming;
mod observe;
mod operators;
mod serve;
mod service;

pub use incoming::Incoming;
pub use operators::clock;
pub use serve::{Server, migrate_all};
pub use service::{Service, ServiceBuilder};
