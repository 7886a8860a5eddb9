//! When an order is prepared, its delivery starts; when it is closed or
//! cancelled, so is its delivery.

use base::Error;
use contracts::order::v1::{OrderEvent, order_event::Event};
use eventlog::{Arrived, Policy};
use pg::Tx;

use crate::{
    domain::{Fact, MemberId, OrderId},
    store::{self, Learned},
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] =
        &[OrderEvent::ORDER_PREPARED, OrderEvent::ORDER_CLOSED, OrderEvent::ORDER_CANCELLED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        let facts: Vec<Learned> = batch
            .iter()
            .filter_map(|arrived| learned(arrived).transpose())
            .collect::<Result<_, _>>()?;
        store::learn(tx, &facts).await
    }
}

fn learned(arrived: &Arrived<OrderEvent>) -> Result<Option<Learned>, Error> {
    let (order, member, fact) = match &arrived.message.event {
        Some(Event::OrderPrepared(it)) => (&it.order_id, &it.member_id, Fact::Prepared),
        Some(Event::OrderClosed(it)) => (&it.order_id, &it.member_id, Fact::Closed),
        Some(Event::OrderCancelled(it)) => (&it.order_id, &it.member_id, Fact::Cancelled),
        _ => return Ok(None),
    };
    Ok(Some(Learned {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        fact,
        cause: arrived.cause(),
    }))
}
