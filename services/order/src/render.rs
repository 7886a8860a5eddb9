//! How an order looks on the wire.

use contracts::order::v1 as pb;

use crate::{domain::State, store::Stored, words};

/// An order on the wire.
pub(crate) fn order(stored: &Stored) -> pb::Order {
    let order = &stored.order;
    let state = order.state();
    let reason = match state {
        State::Cancelled(reason) => reason.name(),
        _ => "CANCEL_REASON_UNSPECIFIED",
    };
    pb::Order {
        id: order.id.to_string(),
        member_id: order.member.to_string(),
        lines: words::lines(&order.lines),
        total: Some(order.total.to_wire().into()),
        payment_method: words::wire_method(order.method).into(),
        payment_id: order.payment.map(|id| id.to_string()).unwrap_or_default(),
        state: words::wire_state(state).into(),
        cancel_reason: pb::order::CancelReason::from_str_name(reason).unwrap_or_default().into(),
        create_time: Some(stored.create_time.into()),
        etag: etag(stored),
    }
}

/// Changes with every change of the order.
pub(crate) fn etag(stored: &Stored) -> String {
    stored.version.to_string()
}
