//! When an order is paid, take its lines from the stock; when it is cancelled,
//! put them back.

use base::Error;
use contracts::order::v1::{OrderEvent, OrderLine, order_event::Event};
use eventlog::{Arrived, Policy};
use pg::Tx;

use crate::{
    domain::{Line, MemberId, OrderId, ProductId, Quantity},
    store::{self, Want, Wish},
};

pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    const TYPES: &'static [&'static str] = &[OrderEvent::ORDER_PAID, OrderEvent::ORDER_CANCELLED];
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
        Some(Event::OrderPaid(paid)) => {
            (&paid.order_id, &paid.member_id, Want::Take(lines(&paid.lines)?))
        }
        Some(Event::OrderCancelled(cancelled)) => {
            (&cancelled.order_id, &cancelled.member_id, Want::GiveBack)
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

fn lines(lines: &[OrderLine]) -> Result<Vec<Line>, Error> {
    let line = |line: &OrderLine| {
        let product = ProductId::parse("product_id", &line.product_id)?;
        Ok(Line { product, quantity: Quantity::try_from(line.quantity)? })
    };
    lines.iter().map(line).collect()
}
