//! When a payment is approved, it earns points; when it is cancelled, they are
//! taken back.

use std::time::Duration;

use base::Error;
use contracts::payment::v1::{PaymentEvent, payment_event::Event};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId, Paid, PaymentId, Rate},
    store::{Known, Stored},
};

/// The call that completes a payment has earned the points already; this only makes sure.
const LINGER: Duration = Duration::from_millis(100);

pub(crate) struct Payments {
    pub(crate) rate: Rate,
}

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] =
        &[PaymentEvent::PAYMENT_APPROVED, PaymentEvent::PAYMENT_CANCELLED];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        let facts = facts::of(batch, |arrived| self.learned(arrived))?;
        facts::learn(tx, &facts).await.map(drop)
    }
}

impl Payments {
    fn learned(&self, arrived: &Arrived<PaymentEvent>) -> Result<Option<Learned<Stored>>, Error> {
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
            key: PaymentId::parse("payment_id", payment)?,
            fact: Known {
                order: OrderId::parse("order_id", order)?,
                member: MemberId::parse("member_id", member)?,
                fact,
            },
            cause: Some(arrived.cause()),
        }))
    }
}
