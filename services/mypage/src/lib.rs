//! My Page: a member with their coupons, points, and orders with their history, as
//! a projection.
//!
//! - **Projection**: read models built from what the other services published, and
//!   from nothing else. Seconds behind at most; readable while all others are down.
//! - **Milestone**: a state that an order passed, with its Korean label.
//! - **Change**: of a member's page or of one of their orders; counted, so that whoever
//!   watches can go on where they were.
//! - **Fact**: something that is known of a member: registered, withdrawn, the admin
//!   told. Coupons and points are facts of their own.
//!
//! Nothing can be commanded here, and nothing here publishes events.

mod policy;
mod service;
mod store;
mod watch;

use std::time::Duration;

use contracts::{
    coupon::v1::{CouponEvent, coupon_events_server::CouponEventsServer},
    delivery::v1::{DeliveryEvent, delivery_events_server::DeliveryEventsServer},
    member::v1::{MemberEvent, member_events_server::MemberEventsServer},
    mileage::v1::{MileageEvent, mileage_events_server::MileageEventsServer},
    mypage::v1::my_page_service_server::MyPageServiceServer,
    notification::v1::{NotificationEvent, notification_events_server::NotificationEventsServer},
    order::v1::{OrderEvent, order_events_server::OrderEventsServer},
    payment::v1::{PaymentEvent, payment_events_server::PaymentEventsServer},
};
use kit::{Error, House, Service};

/// The My Page service.
pub const SERVICE: Service = Service {
    name: "mypage",
    migrations: kit::migrations![
        "V1__mypage",
        "V2__members",
        "V3__changes",
        "V4__traces",
        "V5__changes_by_sequence"
    ],
    build,
};

fn build(house: &mut House<'_>) -> Result<(), Error> {
    let longest = Duration::from_secs(house.settings().auth.token_ttl_s);
    let watches = watch::Watches::new(house.database(), house.stop(), longest);
    let pages = service::Pages::new(house.database(), watches.clone());
    house
        .run(watches.run())
        .serve(MyPageServiceServer::new(pages))
        .follow::<OrderEventsServer<()>, OrderEvent, _>("order", &[], policy::Orders)?
        .follow::<PaymentEventsServer<()>, PaymentEvent, _>(
            "payment",
            &[
                "DepositRequested",
                "DepositExpired",
                "PaymentApproved",
                "PaymentDeclined",
                "PaymentCancelled",
            ],
            policy::Payments,
        )?
        .follow::<DeliveryEventsServer<()>, DeliveryEvent, _>("delivery", &[], policy::Deliveries)?
        .follow::<MemberEventsServer<()>, MemberEvent, _>("member", &[], policy::Members)?
        .follow::<CouponEventsServer<()>, CouponEvent, _>("coupon", &[], policy::Coupons)?
        .follow::<NotificationEventsServer<()>, NotificationEvent, _>(
            "notification",
            &["NotificationSent"],
            policy::Notifications,
        )?
        .follow::<MileageEventsServer<()>, MileageEvent, _>("mileage", &[], policy::Mileages)?;
    Ok(())
}
