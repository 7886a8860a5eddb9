//! Mileage: the points that payments earn, and orders are paid with.
//!
//! - **Entry**: what changed a member's points. One a payment is EARNED when it is approved, CANCELLED
//!   when it is cancelled; REFUSED (unseen) when it was cancelled before mileage heard of it. *Movements*
//!   are the others: SPEND, RESTORE, REVOKE, EXPIRE.
//! - **Points**: a share of what was paid, 1% unless the configuration says otherwise,
//!   rounded down.
//! - **Lot**: what is left of what a payment earned, until it expires. The lots that expire first are
//!   spent first, and get back what was spent of them when the order is cancelled.
//! - **Warning**: its member is told of a lot once, some time before what is left of it expires.
//! - **Part**: some of an order is cancelled or returned: the share of what was spent on it comes back, those
//!   points first that expire last, and what is left of its payment is worth what it would have earned.
//! - **Debt**: what was taken back after it had been spent, and no lot has. Whatever comes in fills it.
//! - **Balance**: what the lots have left, less the debt: the sum of all entries.
//! - **Spend**: what one order did with points: SPENT, RELEASED when it was cancelled; REFUSED (unseen)
//!   when it was cancelled before mileage heard of it.
//!
//! Payment calls, so that the points are there at once; whether the call or the
//! event comes first, or the call never, the entry is the same.

mod domain;
mod metrics;
mod policy;
mod service;
mod settings;
mod store;
mod wire;
mod worker;

use base::Error;
use contracts::mileage::v1::{MileageEvent, mileage_service_server::MileageServiceServer};
use server::{Service, ServiceBuilder};

use self::settings::Settings;

/// The mileage service.
pub const SERVICE: Service = Service {
    name: "mileage",
    migrations: pg::migrations!["V1__mileage", "V2__lots", "V3__parts", "V4__warnings"],
    build,
};

/// How many points a payment earns with these settings: per won, in basis points.
pub fn basis_points(settings: &::settings::Settings) -> Result<u32, Error> {
    let Settings { basis_points: rate, .. } = settings.own(SERVICE.name)?;
    Ok(rate.basis_points())
}

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let own: Settings = builder.own_settings()?;
    let (rate, expire_after) = (own.basis_points, own.expire_after());
    let mileage = service::Mileage { database: builder.database(), rate, expire_after };
    let worker = worker::Worker { database: builder.background(), warn_before: own.warn_before() };
    builder
        .serve(MileageServiceServer::new(mileage))
        .publish::<MileageEvent>()
        .work(worker)
        .follow(policy::Payments { rate, expire_after })?
        .follow(policy::Orders)?;
    Ok(())
}
