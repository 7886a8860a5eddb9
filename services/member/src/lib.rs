//! Member: people who signed up, their sessions, and how they leave.
//!
//! - **Member**: a person with an address, a password and roles. Personal data
//!   stays here: events carry ids. See `password`, and `seed` for the first members of a shop.
//! - **Session**: a signed token that says who someone is and which roles they have.
//! - **Role**: MEMBER buys, SELLER sells, ADMIN runs the shop. See `grant` for the first admin.
//! - **Address**: where a member has goods sent. What is ordered to one has a copy of it elsewhere, so
//!   that it may be deleted. See `addresses`.
//! - **Withdrawal**: a member leaves; their coupon is cancelled first. See `withdraw`, and `erase` for
//!   what becomes of their personal data.
//! - **Revocation**: the tokens of a member who has withdrawn, and those from before a role was
//!   taken back, are revoked at once, at all services. See `revocations`.
//! - **Throttling**: after ten wrong passwords within ten minutes nobody signs in to the account,
//!   from wherever, until the ten minutes are over. See `throttle`.
//! - **Fact**: something that was done for a member elsewhere: a coupon issued or
//!   cancelled, the admin told. Facts may come late, twice, and in any order.

mod addresses;
mod domain;
mod erase;
mod grant;
mod password;
mod policy;
mod revocations;
mod seed;
mod service;
mod settings;
mod store;
mod throttle;
mod wire;
mod withdraw;
mod worker;

use std::time::Duration;

use base::Error;
use contracts::{
    auth::v1::revocations_server::RevocationsServer,
    member::v1::{
        MemberEvent, address_service_server::AddressServiceServer,
        member_service_server::MemberServiceServer,
    },
};
use identity::auth::Issuer;
use server::{Service, ServiceBuilder};

use self::{settings::Settings, withdraw::Withdraw};

pub use grant::grant;
pub use seed::seed;

/// The member service.
pub const SERVICE: Service = Service {
    name: "member",
    migrations: pg::migrations![
        "V1__members",
        "V2__withdrawals",
        "V3__revocations",
        "V4__role_revocations",
        "V5__sign_in_failures",
        "V6__erasure",
        "V7__addresses",
        "V8__search"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let database = builder.database();
    let issuer = Issuer::new(&builder.settings().auth)?;
    let deadline = builder.settings().deadline.peer();
    let own: Settings = builder.own_settings()?;
    let erase_after = own.erase_after();
    let peers = withdraw::Peers {
        order: builder.peer("order")?,
        payment: builder.peer("payment")?,
        coupon: builder.peer("coupon")?,
    };
    let withdraw = Withdraw::new(database.clone(), peers.clone(), deadline, erase_after);
    let worker = worker::Worker {
        database: builder.background(),
        withdraw: Withdraw::new(builder.background(), peers, deadline, erase_after),
    };
    let token_ttl = Duration::from_secs(builder.settings().auth.token_ttl_s);
    let revocations =
        revocations::Revocations::new(builder.background(), token_ttl, builder.stop());
    let addresses = addresses::Addresses { database: database.clone() };
    let members = service::Members::new(database, issuer, withdraw)?;
    builder
        .serve(MemberServiceServer::new(members))
        .serve(AddressServiceServer::new(addresses))
        .serve(RevocationsServer::new(revocations.clone()))
        .run(revocations.run())
        .publish::<MemberEvent>()
        .work(worker)
        .follow(policy::Coupons)?
        .follow(policy::Notifications)?;
    Ok(())
}
