//! When something was done for a member elsewhere, member learns it.

use std::time::Duration;

use base::Error;
use contracts::{
    coupon::v1::{CouponEvent, coupon_event},
    notification::v1::{NotificationEvent, notification::Audience, notification_event},
};
use eventlog::{Arrived, Policy};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId},
    store::{self, Learned},
};

/// Flags that nothing waits for.
const LINGER: Duration = Duration::from_millis(100);

/// Follows coupon.
pub(crate) struct Coupons;

impl Policy<CouponEvent> for Coupons {
    const TYPES: &'static [&'static str] =
        &[CouponEvent::COUPON_ISSUED, CouponEvent::COUPON_CANCELLED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<CouponEvent>]) -> Result<(), Error> {
        use coupon_event::Event;
        let mut facts = Vec::new();
        for arrived in batch {
            let (member, fact) = match &arrived.message.event {
                Some(Event::CouponIssued(it)) => (&it.member_id, Fact::CouponIssued),
                Some(Event::CouponCancelled(it)) => (&it.member_id, Fact::CouponCancelled),
                None => continue,
            };
            facts.push(learned("member_id", member, fact)?);
        }
        store::learn(tx, &facts).await
    }
}

/// Follows notification: the messages that tell the shop's admin of a member.
pub(crate) struct Notifications;

impl Policy<NotificationEvent> for Notifications {
    const TYPES: &'static [&'static str] = &[NotificationEvent::NOTIFICATION_SENT];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<NotificationEvent>]) -> Result<(), Error> {
        use notification_event::Event;
        let mut facts = Vec::new();
        for arrived in batch {
            match &arrived.message.event {
                Some(Event::NotificationSent(it)) if it.audience() == Audience::Admin => {
                    facts.push(learned("subject_id", &it.subject_id, Fact::AdminNotified)?);
                }
                Some(Event::NotificationSent(_)) | None => {}
            }
        }
        store::learn(tx, &facts).await
    }
}

fn learned(field: &str, member: &str, fact: Fact) -> Result<Learned, Error> {
    Ok(Learned { member: MemberId::parse(field, member)?, fact })
}
