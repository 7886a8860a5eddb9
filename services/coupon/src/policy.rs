//! When a member signs up, they get a coupon; when an order is cancelled, its coupon
//! comes back.

use base::Error;
use contracts::{
    member::v1::{MemberEvent, member_event},
    order::v1::{OrderEvent, order_event},
};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId},
    store::{
        holder::Holder,
        redemption::{Locked, Released},
    },
};

pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_REGISTERED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        facts::learn(tx, &facts::of(batch, registered)?).await.map(drop)
    }
}

fn registered(arrived: &Arrived<MemberEvent>) -> Result<Option<Learned<Holder>>, Error> {
    use member_event::Event;
    let Some(Event::MemberRegistered(it)) = &arrived.message.event else { return Ok(None) };
    Ok(Some(Learned {
        key: MemberId::parse("member_id", &it.member_id)?,
        fact: Fact::Registered,
        cause: Some(arrived.cause()),
    }))
}

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[OrderEvent::ORDER_CANCELLED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        facts::learn(tx, &facts::of(batch, released)?).await.map(drop)
    }
}

fn released(arrived: &Arrived<OrderEvent>) -> Result<Option<Learned<Locked>>, Error> {
    use order_event::Event;
    let Some(Event::OrderCancelled(it)) = &arrived.message.event else { return Ok(None) };
    if it.says_checkout && it.coupon_id.is_empty() {
        // It has redeemed none: an order that redeems one is never cancelled before it is placed with it.
        return Ok(None);
    }
    Ok(Some(Learned {
        key: OrderId::parse("order_id", &it.order_id)?,
        fact: Released(MemberId::parse("member_id", &it.member_id)?),
        cause: Some(arrived.cause()),
    }))
}
