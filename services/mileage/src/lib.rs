//! Mileage: the points that payments earn.
//!
//! - **Entry**: one a payment: EARNED when it is approved, CANCELLED when it is cancelled;
//!   REFUSED (unseen) when it was cancelled before mileage heard of it.
//! - **Points**: a share of what was paid, 1% unless the configuration says otherwise,
//!   rounded down.
//! - **Balance**: the points of a member's EARNED entries. It is summed, not kept.
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

use ::settings::Settings;
use base::Error;
use contracts::mileage::v1::{MileageEvent, mileage_service_server::MileageServiceServer};
use server::{Service, ServiceBuilder};

use settings::MileageSettings;

/// The mileage service.
pub const SERVICE: Service =
    Service { name: "mileage", migrations: pg::migrations!["V1__mileage"], build };

/// How many points a payment earns with these settings: per won, in basis points.
pub fn basis_points(settings: &Settings) -> Result<u32, Error> {
    let MileageSettings { basis_points: rate } = settings.own(SERVICE.name)?;
    Ok(rate.basis_points())
}

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let MileageSettings { basis_points: rate } = builder.own_settings()?;
    let mileage = service::Mileage::new(builder.database(), rate);
    builder
        .serve(MileageServiceServer::new(mileage))
        .publish::<MileageEvent>()
        .follow(policy::Payments { rate })?;
    Ok(())
}
