//! When an order is paid, take its lines from the stock; when it is cancelled,
//! put them back.

use base::Error;
use contracts::order::v1::{OrderEvent, OrderLine, order_event::Event};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;

use crate::{
    domain::{Line, MemberId, OrderId, ProductId, Quantity},
    store::{self, Fact, Learned},
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[OrderEvent::ORDER_PAID, OrderEvent::ORDER_CANCELLED];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        store::learn(tx, &facts::of(batch, learned)?).await.map(drop)
    }
}

fn learned(arrived: &Arrived<OrderEvent>) -> Result<Option<Learned>, Error> {
    let (order, member, fact) = match &arrived.message.event {
        Some(Event::OrderPaid(paid)) => {
            (&paid.order_id, &paid.member_id, Fact::Paid(lines(&paid.lines)?))
        }
        Some(Event::OrderCancelled(cancelled)) => {
            (&cancelled.order_id, &cancelled.member_id, Fact::Cancelled)
        }
        _ => return Ok(None),
    };
    Ok(Some(Learned {
        order: OrderId::parse("order_id", order)?,
        member: MemberId::parse("member_id", member)?,
        fact,
        cause: Some(arrived.cause()),
    }))
}

fn lines(lines: &[OrderLine]) -> Result<Vec<Line>, Error> {
    let line = |line: &OrderLine| {
        let product = ProductId::parse("product_id", &line.product_id)?;
        Ok(Line { product, quantity: Quantity::try_from(line.quantity)? })
    };
    lines.iter().map(line).collect()
}
