//! When an order is paid, take its lines from the stock; when it or some of it is cancelled or returned,
//! put them back.

use base::Error;
use contracts::order::v1::{OrderEvent, OrderLine, TakenPieces, order_event::Event};
use eventlog::{Arrived, Policy, facts};
use pg::Tx;

use crate::{
    domain::{Line, MemberId, OrderId, ProductId, Quantity},
    store::{self, Fact, Learned},
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[
        OrderEvent::ORDER_PAID,
        OrderEvent::ORDER_LINES_CANCELLED,
        OrderEvent::RETURN_ACCEPTED,
        OrderEvent::ORDER_CANCELLED,
    ];
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        store::learn(tx, &facts::of(batch, learned)?).await.map(drop)
    }
}

fn learned(arrived: &Arrived<OrderEvent>) -> Result<Option<Learned>, Error> {
    let (order, member, fact) = match &arrived.message.event {
        Some(Event::OrderPaid(paid)) => {
            (&paid.order_id, &paid.member_id, Fact::Paid(lines(&paid.lines)?))
        }
        // What was cancelled before it was paid was never taken.
        Some(Event::OrderLinesCancelled(it)) if it.unpaid => return Ok(None),
        Some(Event::OrderLinesCancelled(it)) => {
            let part = base::id::parse("part_id", &it.part_id)?;
            (&it.order_id, &it.member_id, Fact::TakenBack(part, pieces(&it.lines)?))
        }
        Some(Event::ReturnAccepted(it)) => {
            let part = base::id::parse("return_id", &it.return_id)?;
            (&it.order_id, &it.member_id, Fact::TakenBack(part, pieces(&it.lines)?))
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

fn pieces(lines: &[TakenPieces]) -> Result<Vec<Line>, Error> {
    let line = |line: &TakenPieces| {
        let product = ProductId::parse("product_id", &line.product_id)?;
        Ok(Line { product, quantity: Quantity::try_from(line.quantity)? })
    };
    lines.iter().map(line).collect()
}
