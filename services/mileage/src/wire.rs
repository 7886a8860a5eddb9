//! The words that entries go by elsewhere: in events, on the wire, and in the
//! database, where states have their names from the contract.

use contracts::mileage::v1::{self as pb, MileageCancelled, MileageEarned, mileage_event::Event};

use crate::domain::{Entry, Outcome, State};

/// The event of an outcome; none where there is nothing to tell.
pub(crate) fn event(entry: &Entry, outcome: Outcome) -> Option<Event> {
    let (entry_id, payment_id) = (entry.id.to_string(), entry.payment.to_string());
    let (order_id, member_id) = (entry.order.to_string(), entry.member.to_string());
    let points = entry.points.get();
    Some(match outcome {
        Outcome::Earned => Event::MileageEarned(MileageEarned {
            entry_id,
            payment_id,
            order_id,
            member_id,
            points,
        }),
        Outcome::Cancelled => Event::MileageCancelled(MileageCancelled {
            entry_id,
            payment_id,
            order_id,
            member_id,
            points,
        }),
        Outcome::Refused | Outcome::Unchanged => return None,
    })
}

/// A state on the wire.
pub(crate) fn state(state: State) -> pb::mileage_entry::State {
    match state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::mileage_entry::State::Unspecified,
        State::Earned => pb::mileage_entry::State::Earned,
        State::Cancelled => pb::mileage_entry::State::Cancelled,
    }
}
