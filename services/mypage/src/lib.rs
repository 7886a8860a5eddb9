//! My Page: a member with their coupons, points, and orders with their history, as
//! a projection.
//!
//! - **Projection**: read models built from what the other services published, and
//!   from nothing else. Seconds behind at most; readable while all others are down.
//! - **Milestone**: a state that an order passed, with its Korean label.
//! - **Change**: of a member's page or of one of their orders; counted, so that whoever
//!   watches can go on where they were. See `watch`.
//! - **Fact**: something that is known of a member: registered, withdrawn, the admin
//!   told. Coupons and points are facts of their own. See `points`.
//!
//! - **Timeline**: what all logs say of one order; asked for, not kept. See `timeline`.
//! - **Audit entry**: what somebody of the shop did by hand, to what, and why. See `audit`.
//! - **Source**: a service that My Page hears from. My Page knows which of them do not answer just now. See `sources`.
//!
//! - **Address**: where an order's goods go. Personal data is in no event: order says it itself.
//!
//! Nothing can be commanded here, and nothing here publishes events.

mod audit;
mod domain;
mod points;
mod policy;
mod service;
mod sources;
mod store;
mod timeline;
mod watch;
mod wire;

use std::time::Duration;

use base::Error;
use contracts::mypage::v1::{
    audit_service_server::AuditServiceServer, my_page_service_server::MyPageServiceServer,
    timeline_service_server::TimelineServiceServer,
};
use server::{Service, ServiceBuilder};

/// The My Page service.
pub const SERVICE: Service = Service {
    name: "mypage",
    migrations: pg::migrations![
        "V1__mypage",
        "V2__members",
        "V3__changes",
        "V4__traces",
        "V5__changes_by_sequence",
        "V6__refunds",
        "V7__audit",
        "V8__parcels",
        "V9__points",
        "V10__parts",
        "V11__audit_of_refunds"
    ],
    build,
};

fn build(builder: &mut ServiceBuilder<'_>) -> Result<(), Error> {
    let longest = Duration::from_secs(builder.settings().auth.token_ttl_s);
    let peers = sources::peers(builder)?;
    let sources = sources::Sources::new(peers.clone());
    let watches = watch::Watches::new(builder.database(), sources.clone(), builder.stop(), longest);
    let pages = service::Pages::new(builder.database(), sources.clone(), watches.clone());
    let audit = audit::Audit { database: builder.database() };
    let timelines = timeline::Timelines::new(builder, peers);
    let stop = builder.stop();
    builder
        .run(watches.run())
        .run(sources.run(stop))
        .serve(MyPageServiceServer::new(pages))
        .serve(AuditServiceServer::new(audit))
        .serve(TimelineServiceServer::new(timelines))
        .follow(policy::Orders)?
        .follow(policy::Payments)?
        .follow(policy::Deliveries)?
        .follow(policy::Members)?
        .follow(policy::Coupons)?
        .follow(policy::Notifications)?
        .follow(policy::Mileages)?
        .follow(policy::Products)?;
    Ok(())
}
