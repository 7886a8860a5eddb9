//! When a payment is approved, it earns points; when it is cancelled, they are
//! taken back. When an order is cancelled, what it has spent comes back.

use std::time::Duration;

use base::Error;
use contracts::{
    order::v1::{OrderEvent, order_event},
    payment::v1::{PaymentEvent, payment_event::Event},
};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId, Paid, PaymentId, Rate},
    store::{self, Learned, spend::Released},
};

/// The call that completes a payment has earned the points already; this only makes sure.
const LINGER: Duration = Duration::from_millis(100);

pub(crate) struct Payments {
    pub(crate) rate: Rate,
    /// How long after they were earned points expire.
    pub(crate) expire_after: Duration,
}

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] =
        &[PaymentEvent::PAYMENT_APPROVED, PaymentEvent::PAYMENT_CANCELLED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        let facts = facts::of(batch, |arrived| self.learned(arrived))?;
        store::learn(tx, &facts, self.expire_after).await.map(drop)
    }
}

impl Payments {
    fn learned(&self, arrived: &Arrived<PaymentEvent>) -> Result<Option<Learned>, Error> {
        let (payment, order, member, fact) = match &arrived.message.event {
            Some(Event::PaymentApproved(it)) => {
                let paid = it.amount.as_ref().map(contracts::Money::parts);
                let points = self.rate.points(Paid::told("amount", paid)?);
                (&it.payment_id, &it.order_id, &it.member_id, Fact::Approved(points))
            }
            Some(Event::PaymentCancelled(it)) => {
                (&it.payment_id, &it.order_id, &it.member_id, Fact::Cancelled)
            }
            _ => return Ok(None),
        };
        Ok(Some(Learned {
            payment: PaymentId::parse("payment_id", payment)?,
            order: OrderId::parse("order_id", order)?,
            member: MemberId::parse("member_id", member)?,
            fact,
            cause: Some(arrived.cause()),
        }))
    }
}

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[OrderEvent::ORDER_CANCELLED];

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        store::spend::release(tx, &facts::of(batch, released)?).await.map(drop)
    }
}

fn released(arrived: &Arrived<OrderEvent>) -> Result<Option<Released>, Error> {
    use order_event::Event;
    let Some(Event::OrderCancelled(it)) = &arrived.message.event else { return Ok(None) };
    Ok(Some(Released {
        order: OrderId::parse("order_id", &it.order_id)?,
        member: MemberId::parse("member_id", &it.member_id)?,
        cause: Some(arrived.cause()),
    }))
}
