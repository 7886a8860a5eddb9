//! When a member registers, tell the admin; when a payment is approved, tell
//! marketing; when a delivery is dispatched or has arrived, or points expire soon, tell
//! the member.

use std::time::{Duration, SystemTime};

use base::{Error, Money};
use contracts::{
    delivery::v1::{DeliveryEvent, delivery_event},
    member::v1::{MemberEvent, member_event},
    mileage::v1::{MileageEvent, mileage_event},
    payment::v1::{PaymentEvent, payment_event},
};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;

use crate::{
    domain::{EntryId, MemberId, Occasion, OrderId},
    mail::Mail,
    store::{self, Heard},
};

/// A message may be this late.
const LINGER: Duration = Duration::from_millis(100);

pub(crate) struct Members(pub(crate) Mail);

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_REGISTERED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        let heard = heard(batch, |message| match &message.event {
            Some(member_event::Event::MemberRegistered(it)) => {
                let member = MemberId::parse("member_id", &it.member_id)?;
                Ok(Some(Occasion::MemberRegistered { member }))
            }
            _ => Ok(None),
        })?;
        let sent = store::send(tx, &heard).await?;
        self.0.post(tx, &sent).await
    }
}

pub(crate) struct Payments(pub(crate) Mail);

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] = &[PaymentEvent::PAYMENT_APPROVED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        let heard = heard(batch, |message| match &message.event {
            Some(payment_event::Event::PaymentApproved(it)) => {
                let order = OrderId::parse("order_id", &it.order_id)?;
                let member = MemberId::parse("member_id", &it.member_id)?;
                let amount = it.amount.as_ref().map(contracts::Money::parts);
                let amount = Money::parse("amount", amount)?;
                Ok(Some(Occasion::PaymentApproved { order, member, amount }))
            }
            _ => Ok(None),
        })?;
        let sent = store::send(tx, &heard).await?;
        self.0.post(tx, &sent).await
    }
}

pub(crate) struct Deliveries(pub(crate) Mail);

impl Policy<DeliveryEvent> for Deliveries {
    const TYPES: &'static [&'static str] =
        &[DeliveryEvent::DELIVERY_DISPATCHED, DeliveryEvent::DELIVERY_DELIVERED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<DeliveryEvent>]) -> Result<(), Error> {
        use delivery_event::Event;
        let heard = heard(batch, |message| {
            let (order, member) = match &message.event {
                Some(Event::DeliveryDispatched(it)) => (&it.order_id, &it.member_id),
                Some(Event::DeliveryDelivered(it)) => (&it.order_id, &it.member_id),
                _ => return Ok(None),
            };
            let order = OrderId::parse("order_id", order)?;
            let member = MemberId::parse("member_id", member)?;
            Ok(Some(match &message.event {
                Some(Event::DeliveryDispatched(it)) => Occasion::DeliveryDispatched {
                    order,
                    member,
                    carrier: it.carrier.clone(),
                    tracking_number: it.tracking_number.clone(),
                },
                _ => Occasion::DeliveryDelivered { order, member },
            }))
        })?;
        let sent = store::send(tx, &heard).await?;
        self.0.post(tx, &sent).await
    }
}

pub(crate) struct Mileages(pub(crate) Mail);

impl Policy<MileageEvent> for Mileages {
    const TYPES: &'static [&'static str] = &[MileageEvent::MILEAGE_EXPIRING];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MileageEvent>]) -> Result<(), Error> {
        let heard = heard(batch, |message| match &message.event {
            Some(mileage_event::Event::MileageExpiring(it)) => {
                let member = MemberId::parse("member_id", &it.member_id)?;
                let entry = EntryId::parse("entry_id", &it.entry_id)?;
                let before = it.before.and_then(|before| SystemTime::try_from(before).ok());
                let before = before.ok_or_else(|| Error::violation("before", "must be a time"))?;
                Ok(Some(Occasion::PointsExpiring { member, entry, points: it.points, before }))
            }
            _ => Ok(None),
        })?;
        let sent = store::send(tx, &heard).await?;
        self.0.post(tx, &sent).await
    }
}

fn heard<M>(
    batch: &[Arrived<M>],
    occasion: impl Fn(&M) -> Result<Option<Occasion>, Error>,
) -> Result<Vec<Heard>, Error> {
    facts::of(batch, |arrived| {
        let occasion = occasion(&arrived.message)?;
        Ok(occasion.map(|occasion| Heard { occasion, cause: arrived.cause() }))
    })
}
