//! Coupon: what a member gets for signing up.
//!
//! - **Coupon**: one a member: ISSUED when they sign up, CANCELLED when they withdraw;
//!   REFUSED (unseen) when they withdrew before coupon heard of them.
//!
//! A withdrawal waits for its coupon to be cancelled, so no member who has withdrawn
//! holds one.

mod domain;
mod policy;
mod service;
mod store;

use base::Error;
use contracts::coupon::v1::{CouponEvent, coupon_service_server::CouponServiceServer};
use server::{Service, ServiceBuilder};

/// The coupon service.
pub const SERVICE: Service =
    Service { name: "coupon", migrations: pg::migrations!["V1__coupons"], build };

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let coupons = service::Coupons::new(builder.database());
    builder
        .serve(CouponServiceServer::new(coupons))
        .publish::<CouponEvent>()
        .follow(policy::Members)?;
    Ok(())
}
