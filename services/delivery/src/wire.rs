//! How a delivery looks elsewhere: on the wire, and in events.

use base::Error;
use contracts::{
    delivery::v1::{
        self as pb, DeliveryCancelled, DeliveryCompleted, DeliveryDelivered, DeliveryDispatched,
        DeliveryStarted, delivery_event::Event,
    },
    member::v1::Address,
};
use prost::Message as _;

use crate::{
    domain::{Parcel, State},
    store::Delivery,
};

/// A delivery on the wire.
pub(crate) fn delivery(delivery: &Delivery) -> Result<pb::Delivery, Error> {
    let progress = &delivery.progress;
    let state = match progress.state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::delivery::State::Unspecified,
        State::Started => pb::delivery::State::Started,
        State::Dispatched => pb::delivery::State::Dispatched,
        State::Delivered => pb::delivery::State::Delivered,
        State::Completed => pb::delivery::State::Completed,
        State::Cancelled => pb::delivery::State::Cancelled,
    };
    let address = delivery.address.as_deref().map(Address::decode).transpose();
    let parcel = sent(delivery);
    Ok(pb::Delivery {
        id: delivery.id.to_string(),
        order_id: delivery.order.to_string(),
        member_id: delivery.member.to_string(),
        state: state.into(),
        create_time: Some(delivery.create_time.into()),
        carrier: parcel.map(|parcel| parcel.carrier.clone()).unwrap_or_default(),
        tracking_number: parcel.map(|parcel| parcel.tracking_number.clone()).unwrap_or_default(),
        dispatch_time: delivery.dispatch_time.map(Into::into),
        deliver_time: delivery.deliver_time.map(Into::into),
        address: address.map_err(|error| Error::internal(format!("stored address: {error}")))?,
        etag: etag(delivery),
    })
}

/// Changes with every change that is seen. The version counts states; the address comes and goes beside them, as
/// does the parcel of a dispatch that order agreed to after the end.
pub(crate) fn etag(delivery: &Delivery) -> String {
    let mark = |is_there, mark| if is_there { mark } else { "" };
    let parcel = mark(sent(delivery).is_some(), "p");
    let address = mark(delivery.address.is_some(), "a");
    format!("{}{parcel}{address}", delivery.version)
}

/// The parcel that it was dispatched with.
fn sent(delivery: &Delivery) -> Option<&Parcel> {
    let sent = delivery.progress.state != State::Started;
    delivery.progress.parcel.as_ref().filter(|_| sent)
}

/// The event of a delivery's new state.
pub(crate) fn event(delivery: &Delivery) -> Option<Event> {
    let delivery_id = delivery.id.to_string();
    let (order_id, member_id) = (delivery.order.to_string(), delivery.member.to_string());
    Some(match delivery.progress.state {
        State::Started => {
            Event::DeliveryStarted(DeliveryStarted { delivery_id, order_id, member_id })
        }
        State::Dispatched => {
            let Parcel { carrier, tracking_number } = sent(delivery)?.clone();
            Event::DeliveryDispatched(DeliveryDispatched {
                delivery_id,
                order_id,
                member_id,
                carrier,
                tracking_number,
            })
        }
        State::Delivered => Event::DeliveryDelivered(DeliveryDelivered {
            delivery_id,
            order_id,
            member_id,
            deliver_time: delivery.deliver_time.map(Into::into),
        }),
        State::Completed => {
            Event::DeliveryCompleted(DeliveryCompleted { delivery_id, order_id, member_id })
        }
        State::Cancelled => {
            Event::DeliveryCancelled(DeliveryCancelled { delivery_id, order_id, member_id })
        }
        State::New | State::Refused => return None,
    })
}
