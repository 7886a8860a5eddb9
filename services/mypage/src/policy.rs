//! When an order, a payment or a delivery changed, so does the page.

use contracts::{
    delivery::v1::{DeliveryEvent, delivery, delivery_event},
    order::v1::{OrderEvent, order, order_event},
    payment::v1::{PaymentEvent, payment, payment_event},
};
use kit::{
    Error, Tx,
    event::{Arrived, Policy},
    id::parse,
};
use prost::Message as _;

use crate::store::{self, Milestone, Part, PartState};

/// Follows order: states and history.
pub(crate) struct Orders;

impl Policy<OrderEvent> for Orders {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<OrderEvent>]) -> Result<(), Error> {
        let milestones: Vec<Milestone> = batch
            .iter()
            .filter_map(|arrived| milestone(arrived).transpose())
            .collect::<Result<_, _>>()?;
        store::pass(tx, &milestones).await
    }
}

fn milestone(arrived: &Arrived<OrderEvent>) -> Result<Option<Milestone>, Error> {
    use order_event::Event;
    let Some(event) = &arrived.message.event else { return Ok(None) };
    let (order, member, state) = match event {
        Event::OrderPlaced(it) => (&it.order_id, &it.member_id, order::State::Placed),
        Event::OrderAwaitingDeposit(it) => {
            (&it.order_id, &it.member_id, order::State::AwaitingDeposit)
        }
        Event::OrderPaid(it) => (&it.order_id, &it.member_id, order::State::Paid),
        Event::OrderPrepared(it) => (&it.order_id, &it.member_id, order::State::Prepared),
        Event::OrderDelivering(it) => (&it.order_id, &it.member_id, order::State::Delivering),
        Event::OrderClosed(it) => (&it.order_id, &it.member_id, order::State::Closed),
        Event::OrderCancelled(it) => (&it.order_id, &it.member_id, order::State::Cancelled),
    };
    let (placed, cancel_reason) = match event {
        Event::OrderPlaced(it) => (Some(it.encode_to_vec()), ""),
        Event::OrderCancelled(it) => (None, it.reason().as_str_name()),
        _ => (None, ""),
    };
    Ok(Some(Milestone {
        order: parse("order_id", order)?,
        member: parse("member_id", member)?,
        state: state.as_str_name(),
        version: arrived.aggregate_version,
        at: arrived.occurred_at,
        placed,
        cancel_reason,
    }))
}

/// Follows payment.
pub(crate) struct Payments;

impl Policy<PaymentEvent> for Payments {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<PaymentEvent>]) -> Result<(), Error> {
        use payment_event::Event;
        let mut states = Vec::new();
        for arrived in batch {
            let (order, member, state) = match &arrived.message.event {
                Some(Event::PaymentApproved(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Done)
                }
                Some(Event::PaymentDeclined(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Declined)
                }
                Some(Event::PaymentCancelled(it)) => {
                    (&it.order_id, &it.member_id, payment::State::Cancelled)
                }
                Some(Event::WalletToppedUp(_)) | None => continue,
            };
            states.push(part_state(order, member, state.as_str_name(), arrived.aggregate_version)?);
        }
        store::set_part(tx, Part::Payment, &states).await
    }
}

/// Follows delivery.
pub(crate) struct Deliveries;

impl Policy<DeliveryEvent> for Deliveries {
    async fn apply(&self, tx: &mut Tx, batch: &[Arrived<DeliveryEvent>]) -> Result<(), Error> {
        use delivery_event::Event;
        let mut states = Vec::new();
        for arrived in batch {
            let (order, member, state) = match &arrived.message.event {
                Some(Event::DeliveryStarted(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Started)
                }
                Some(Event::DeliveryCompleted(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Completed)
                }
                Some(Event::DeliveryCancelled(it)) => {
                    (&it.order_id, &it.member_id, delivery::State::Cancelled)
                }
                None => continue,
            };
            states.push(part_state(order, member, state.as_str_name(), arrived.aggregate_version)?);
        }
        store::set_part(tx, Part::Delivery, &states).await
    }
}

fn part_state(
    order: &str,
    member: &str,
    state: &'static str,
    version: i64,
) -> Result<PartState, Error> {
    Ok(PartState {
        order: parse("order_id", order)?,
        member: parse("member_id", member)?,
        state,
        version,
    })
}
