//! Product: what is on sale, and how much of it is left.
//!
//! - **Product**: something with a name, a price and a stock.
//! - **Stock**: units on hand; never below 0. Every change of it is a *movement*.
//! - **Allocation**: what one order took: DECREASED, or SHORT when it could not be
//!   served (an order gets all its lines or none), RESTORED when it was cancelled,
//!   REFUSED when it was cancelled before it was paid.

mod domain;
mod policy;
mod service;
mod store;
mod wire;

use base::Error;
use contracts::product::v1::{ProductEvent, product_service_server::ProductServiceServer};
use server::{Service, ServiceBuilder};

/// The product service.
pub const SERVICE: Service = Service {
    name: "product",
    migrations: pg::migrations![
        "V1__products",
        "V2__limits",
        "V3__hot_stock",
        "V4__off_sale",
        "V5__parts",
        "V6__search"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let products = service::Products { database: builder.database() };
    builder
        .serve(ProductServiceServer::new(products))
        .publish::<ProductEvent>()
        .follow(policy::Orders)?;
    Ok(())
}
