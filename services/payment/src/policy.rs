//! When an order is placed, take the money; when it is cancelled, give it back.

use contracts::order::v1::{OrderEvent, order, order_event::Event};
use kit::{
    Error, Money, Tx,
    event::{Arrived, Policy},
};

use crate::{
    domain::{MemberId, OrderId},
    store::{self, Want, Wish},
    words,
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        let wishes: Vec<Wish> = batch
            .iter()
            .filter_map(|arrived| wish(arrived).transpose())
            .collect::<Result<_, _>>()?;
        store::decide(tx, &wishes).await.map(|_| ())
    }
}

fn wish(arrived: &Arrived<OrderEvent>) -> Result<Option<Wish>, Error> {
    let (order, member, want) = match &arrived.message.event {
        Some(Event::OrderPlaced(it)) => {
            let amount = Money::parse("total", it.total.as_ref().map(contracts::Money::parts))?;
            let method = words::method_from(it.payment_method())?;
            (&it.order_id, &it.member_id, Want::Pay { amount, method })
        }
        Some(Event::OrderCancelled(it)) => {
            let reason = order::CancelReason::try_from(it.reason).unwrap_or_default();
            let reason = reason.as_str_name().to_owned();
            (&it.order_id, &it.member_id, Want::GiveBack { reason })
        }
        _ => return Ok(None),
    };
    Ok(Some(Wish {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        want,
        cause: Some(arrived.cause()),
    }))
}
