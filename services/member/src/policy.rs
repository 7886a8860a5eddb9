//! When something was done for a member elsewhere, member learns it.

use std::time::Duration;

use base::Error;
use contracts::{
    coupon::v1::{CouponEvent, coupon_event},
    notification::v1::{NotificationEvent, notification::Audience, notification_event},
};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId},
    store::Member,
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
        let facts = facts::of(batch, |arrived| {
            let (member, fact) = match &arrived.message.event {
                Some(Event::CouponIssued(it)) => (&it.member_id, Fact::CouponIssued),
                Some(Event::CouponCancelled(it)) => (&it.member_id, Fact::CouponCancelled),
                _ => return Ok(None),
            };
            learned(arrived, "member_id", member, fact).map(Some)
        })?;
        facts::learn(tx, &facts).await.map(drop)
    }
}

/// Follows notification: the messages that tell the shop's admin of a member.
pub(crate) struct Notifications;

impl Policy<NotificationEvent> for Notifications {
    const TYPES: &'static [&'static str] = &[NotificationEvent::NOTIFICATION_SENT];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<NotificationEvent>]) -> Result<(), Error> {
        use notification_event::Event;
        // Messages to the admin may be about something else than a member: those change nothing.
        let facts = facts::of(batch, |arrived| match &arrived.message.event {
            Some(Event::NotificationSent(it)) if it.audience() == Audience::Admin => {
                learned(arrived, "subject_id", &it.subject_id, Fact::AdminNotified).map(Some)
            }
            Some(Event::NotificationSent(_)) | None => Ok(None),
        })?;
        facts::learn(tx, &facts).await.map(drop)
    }
}

fn learned<M>(
    arrived: &Arrived<M>,
    field: &str,
    member: &str,
    fact: Fact,
) -> Result<Learned<Member>, Error> {
    Ok(Learned { key: MemberId::parse(field, member)?, fact, cause: Some(arrived.cause()) })
}
