//! Coupon: what members get for signing up and as admins issue it, and may pay less
//! by, once.
//!
//! - **Policy**: on what terms coupons are issued; `welcome` is that of those for signing up.
//! - **Terms**: an amount or a share, from what total on, until when. A coupon keeps the terms that
//!   its policy had when it was issued.
//! - **Coupon**: ISSUED; REDEEMED while an order has it; EXPIRED when nobody redeemed it in time;
//!   CANCELLED when its member withdrew.
//! - **Redemption**: what one order did with a coupon: REDEEMED, RELEASED when it was cancelled;
//!   REFUSED (unseen) when it was cancelled before coupon heard of it.
//! - **Holder**: a member; one who has withdrawn holds no coupon, and is remembered even if coupon
//!   had not heard of their sign-up.
//!
//! A withdrawal waits for its coupons to be cancelled, and a coupon that comes back later is cancelled
//! then, so no member who has withdrawn holds one.

mod domain;
mod policy;
mod service;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::coupon::v1::{CouponEvent, coupon_service_server::CouponServiceServer};
use server::{Service, ServiceBuilder};

/// The coupon service.
pub const SERVICE: Service =
    Service { name: "coupon", migrations: pg::migrations!["V1__coupons", "V2__policies"], build };

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let coupons = service::Coupons { database: builder.database() };
    let worker = worker::Worker { database: builder.background() };
    builder
        .serve(CouponServiceServer::new(coupons))
        .publish::<CouponEvent>()
        .work(worker)
        .follow(policy::Members)?
        .follow(policy::Orders)?;
    Ok(())
}
