//! When an order is placed, take the money; when it is cancelled, give it back.

use std::time::Duration;

use contracts::order::v1::{OrderEvent, OrderLine, order_event::Event};
use kit::{
    Error, Money, Tx,
    event::{Arrived, Policy},
};

use crate::{
    domain::{Line, MemberId, OrderId, Placed},
    store::{self, Want, Wish},
    words,
};

pub(crate) struct Orders {
    /// How long a deposit is waited for.
    pub(crate) deposit_within: Duration,
}

impl Policy<OrderEvent> for Orders {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        let wishes: Vec<Wish> = batch
            .iter()
            .filter_map(|arrived| wish(arrived, self.deposit_within).transpose())
            .collect::<Result<_, _>>()?;
        store::decide(tx, &wishes).await
    }
}

fn wish(arrived: &Arrived<OrderEvent>, deposit_within: Duration) -> Result<Option<Wish>, Error> {
    let (order, member, want) = match &arrived.message.event {
        Some(Event::OrderPlaced(it)) => {
            let placed = Placed {
                amount: Money::parse("total", it.total.as_ref().map(contracts::Money::parts))?,
                method: words::method_from(it.payment_method())?,
                lines: it.lines.iter().map(line).collect::<Result<_, _>>()?,
                deposit_due: arrived.occurred_at + deposit_within,
            };
            (&it.order_id, &it.member_id, Want::Pay(placed))
        }
        Some(Event::OrderCancelled(it)) => {
            let reason = it.reason().as_str_name().to_owned();
            (&it.order_id, &it.member_id, Want::GiveBack { reason })
        }
        _ => return Ok(None),
    };
    Ok(Some(Wish {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        want,
        cause: arrived.cause(),
    }))
}

fn line(line: &OrderLine) -> Result<Line, Error> {
    let product = kit::id::parse("product_id", &line.product_id)?;
    Ok(Line { product, quantity: line.quantity })
}
