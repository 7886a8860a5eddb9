//! Member: people who signed up, and their sessions.
//!
//! - **Member**: a person with an address, a password and roles. Personal data
//!   stays here: events carry ids.
//! - **Session**: a signed token that says who someone is and which roles they have.
//! - **Role**: MEMBER buys, SELLER sells, ADMIN runs the shop.

mod domain;
mod password;
mod seed;
mod service;
mod store;

use contracts::member::v1::{
    member_events_server::MemberEventsServer, member_service_server::MemberServiceServer,
};
use kit::{Error, House, Service, auth::Issuer};

pub use seed::seed;

/// The member service.
pub const SERVICE: Service =
    Service { name: "member", migrations: kit::migrations!["V1__members"], build };

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let issuer = Issuer::new(&house.settings().auth)?;
    let members = service::Members::new(house.database(), issuer)?;
    house.serve(MemberServiceServer::new(members)).publish::<MemberEventsServer<()>>();
    Ok(())
}
