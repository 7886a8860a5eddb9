//! When a payment is approved, it earns points; when it is cancelled, they are
//! taken back, and when some of it goes back, so are some of them. When an order is cancelled, what it has
//! spent comes back, and when some of it is cancelled or returned, the share of that.

use std::time::Duration;

use base::{Error, input};
use contracts::{
    order::v1::{OrderEvent, order_event},
    payment::v1::{PaymentEvent, payment_event::Event},
};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId, Paid, PartId, PaymentId, Rate, account::SPEND},
    store::{
        self, Learned,
        spend::{Returned, What},
    },
};

/// The call that completes a payment has earned the points already; this only makes sure.
const LINGER: Duration = Duration::from_millis(100);

pub(crate) struct Payments {
    pub(crate) rate: Rate,
    /// How long after they were earned points expire.
    pub(crate) expire_after: Duration,
}

impl Policy<PaymentEvent> for Payments {
    const TYPES: &'static [&'static str] = &[
        PaymentEvent::PAYMENT_APPROVED,
        PaymentEvent::PAYMENT_PART_REFUNDED,
        PaymentEvent::PAYMENT_CANCELLED,
    ];
    const LINGER: Duration = LINGER;

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        let facts = facts::of(batch, learned)?;
        store::learn(tx, &facts, self.rate, self.expire_after).await.map(drop)
    }
}

fn learned(arrived: &Arrived<PaymentEvent>) -> Result<Option<Learned>, Error> {
    let told = |field, amount: Option<&contracts::Money>| {
        Paid::told(field, amount.map(contracts::Money::parts))
    };
    let (payment, order, member, fact) = match &arrived.message.event {
        Some(Event::PaymentApproved(it)) => {
            let paid = told("amount", it.amount.as_ref())?;
            (&it.payment_id, &it.order_id, &it.member_id, Fact::Approved(paid))
        }
        Some(Event::PaymentPartRefunded(it)) => {
            let left = told("amount_left", it.amount_left.as_ref())?;
            (&it.payment_id, &it.order_id, &it.member_id, Fact::Reduced(left))
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

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[
        OrderEvent::ORDER_CANCELLED,
        OrderEvent::ORDER_LINES_CANCELLED,
        OrderEvent::RETURN_ACCEPTED,
    ];

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        store::spend::give_back(tx, &facts::of(batch, returned)?).await.map(drop)
    }
}

fn returned(arrived: &Arrived<OrderEvent>) -> Result<Option<Returned>, Error> {
    use order_event::Event;
    let part = |field, id, points| {
        let points = input::number("points", points, &(0..=*SPEND.end()))?;
        Ok::<_, Error>(What::Part(PartId::parse(field, id)?, points))
    };
    let (order, member, what) = match &arrived.message.event {
        // It has spent none: an order that spends points is never cancelled before it is placed with them.
        Some(Event::OrderCancelled(it)) if it.says_checkout && it.points == 0 => return Ok(None),
        Some(Event::OrderCancelled(it)) => (&it.order_id, &it.member_id, What::All),
        Some(Event::OrderLinesCancelled(it)) if it.points != 0 => {
            (&it.order_id, &it.member_id, part("part_id", &it.part_id, it.points)?)
        }
        Some(Event::ReturnAccepted(it)) if it.points != 0 => {
            (&it.order_id, &it.member_id, part("return_id", &it.return_id, it.points)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Returned {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        what,
        cause: Some(arrived.cause()),
    }))
}
