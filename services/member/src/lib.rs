//! Member: people who signed up, their sessions, and how they leave.
//!
//! - **Member**: a person with an address, a password and roles. Personal data
//!   stays here: events carry ids.
//! - **Session**: a signed token that says who someone is and which roles they have.
//! - **Role**: MEMBER buys, SELLER sells, ADMIN runs the shop.
//! - **Withdrawal**: a member leaves; their coupon is cancelled first. See `withdraw`.
//! - **Fact**: something that was done for a member elsewhere: a coupon issued or
//!   cancelled, the admin told. Facts may come late, twice, and in any order.

mod domain;
mod password;
mod policy;
mod render;
mod seed;
mod service;
mod store;
mod withdraw;

use contracts::{
    coupon::v1::{CouponEvent, coupon_events_server::CouponEventsServer},
    member::v1::{
        member_events_server::MemberEventsServer, member_service_server::MemberServiceServer,
    },
    notification::v1::{NotificationEvent, notification_events_server::NotificationEventsServer},
};
use kit::{Error, House, Service, auth::Issuer};

pub use seed::seed;

/// The member service.
pub const SERVICE: Service = Service {
    name: "member",
    migrations: kit::migrations!["V1__members", "V2__withdrawals"],
    build,
};

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let database = house.database();
    let issuer = Issuer::new(&house.settings().auth)?;
    let deadline = house.settings().deadline.peer();
    let withdraw = withdraw::Withdraw::new(database.clone(), house.peer("coupon")?, deadline);
    let members = service::Members::new(database, issuer, withdraw.clone())?;
    house
        .serve(MemberServiceServer::new(members))
        .publish::<MemberEventsServer<()>>()
        .work(withdraw)
        .follow::<CouponEventsServer<()>, CouponEvent, _>(
            "coupon",
            &["CouponIssued", "CouponCancelled"],
            policy::Coupons,
        )?
        .follow::<NotificationEventsServer<()>, NotificationEvent, _>(
            "notification",
            &["NotificationSent"],
            policy::Notifications,
        )?;
    Ok(())
}
