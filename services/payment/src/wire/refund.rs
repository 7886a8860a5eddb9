//! How refunds look elsewhere: on the wire and in events.

use std::time::SystemTime;

use base::id::Uuid;
use contracts::payment::v1::{
    self as pb, PaymentRefunded, RefundRetried, RefundSettled, payment_event::Event,
};

use super::method;
use crate::{
    domain::{
        OrderId,
        refund::{Of, Refund, RefundState},
        wallet::Note,
    },
    store::StoredRefund,
};

/// A refund on the wire.
pub(super) fn refund(refund: &Refund, create_time: Option<SystemTime>) -> pb::Refund {
    let state = match refund.state {
        RefundState::Refunding => pb::refund::State::Refunding,
        RefundState::Refunded => pb::refund::State::Refunded,
        RefundState::Failed => pb::refund::State::Failed,
    };
    pb::Refund {
        tender: method(refund.tender).into(),
        amount: Some(refund.amount.to_wire().into()),
        state: state.into(),
        payout_id: refund.payout.map(|id| id.to_string()).unwrap_or_default(),
        create_time: create_time.map(Into::into),
        id: refund.id.to_string(),
        part_id: refund.part.map(|part| part.to_string()).unwrap_or_default(),
        ..pb::Refund::default()
    }
}

/// A refund by itself, with what its shop alone is told.
pub(crate) fn whole(stored: &StoredRefund) -> pb::Refund {
    let it = &stored.refund;
    let (reason, actor) = stored
        .settled
        .clone()
        .map(|note| (note.reason, note.actor.to_string()))
        .unwrap_or_default();
    pb::Refund {
        payment_id: stored.payment.map(|id| id.to_string()).unwrap_or_default(),
        order_id: it.of.order().map(|order| order.to_string()).unwrap_or_default(),
        member_id: it.member.to_string(),
        top_up_id: match it.of {
            Of::TopUp(top_up) => top_up.to_string(),
            Of::Payment(_) | Of::Charge(_) => String::new(),
        },
        failure: stored.failure.clone(),
        settle_reason: reason,
        settled_by: actor,
        ..refund(it, Some(stored.create_time))
    }
}

/// The event of somebody who has the acquirer asked again.
pub(crate) fn retried(refund: &Refund, actor: Uuid) -> Event {
    Event::RefundRetried(RefundRetried {
        refund_id: refund.id.to_string(),
        amount: Some(refund.amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of a refund that somebody settled by hand.
pub(crate) fn settled(refund: &Refund, by: &Note) -> Event {
    Event::RefundSettled(RefundSettled {
        refund_id: refund.id.to_string(),
        member_id: refund.member.to_string(),
        tender: method(refund.tender).into(),
        amount: Some(refund.amount.to_wire().into()),
        reason: by.reason.clone(),
        actor_id: by.actor.to_string(),
    })
}

/// The event of a refund that has gone on.
pub(crate) fn event(payment: Uuid, order: OrderId, stored: &StoredRefund) -> Event {
    Event::PaymentRefunded(PaymentRefunded {
        payment_id: payment.to_string(),
        order_id: order.to_string(),
        member_id: stored.refund.member.to_string(),
        refund: Some(refund(&stored.refund, Some(stored.create_time))),
        of_part: stored.refund.part.is_some(),
    })
}
