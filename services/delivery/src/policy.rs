//! When an order is prepared, its delivery starts; when it is closed or
//! cancelled, so is its delivery; and when a member is erased, so are their addresses.

use base::Error;
use contracts::{
    member::v1::{MemberEvent, member_event},
    order::v1::{OrderEvent, order_event::Event},
};
use eventlog::{
    Arrived, Policy,
    facts::{self, Learned},
};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId},
    store::{Delivery, Known, address},
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] =
        &[OrderEvent::ORDER_PREPARED, OrderEvent::ORDER_CLOSED, OrderEvent::ORDER_CANCELLED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        facts::learn(tx, &facts::of(batch, learned)?).await.map(drop)
    }
}

fn learned(arrived: &Arrived<OrderEvent>) -> Result<Option<Learned<Delivery>>, Error> {
    let (order, member, fact) = match &arrived.message.event {
        Some(Event::OrderPrepared(it)) => (&it.order_id, &it.member_id, Fact::Prepared),
        Some(Event::OrderClosed(it)) => (&it.order_id, &it.member_id, Fact::Closed),
        Some(Event::OrderCancelled(it)) => (&it.order_id, &it.member_id, Fact::Cancelled),
        _ => return Ok(None),
    };
    Ok(Some(Learned {
        key: OrderId::parse("order_id", order)?,
        fact: Known { member: MemberId::parse("member_id", member)?, fact },
        cause: Some(arrived.cause()),
    }))
}

/// Follows member: what is personal of those who are erased is erased.
pub(crate) struct Members;

impl Policy<MemberEvent> for Members {
    const TYPES: &'static [&'static str] = &[MemberEvent::MEMBER_ERASED];

    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<MemberEvent>]) -> Result<(), Error> {
        let erased = facts::of(batch, |arrived| match &arrived.message.event {
            Some(member_event::Event::MemberErased(it)) => {
                base::id::parse("member_id", &it.member_id).map(Some)
            }
            _ => Ok(None),
        })?;
        address::erase_members(tx, &erased).await
    }
}
