//! The words that entries go by elsewhere: in events, on the wire, and in the
//! database, where states have their names from the contract.

use std::time::SystemTime;

use contracts::mileage::v1::{
    self as pb, MileageCancelled, MileageEarned, MileageExpired, MileageExpiring, MileageRestored,
    MileageRevoked, MileageSpent, mileage_event::Event,
};

use crate::{
    domain::{
        Entry, EntryId, MemberId, OrderId, State,
        account::{Kind, Lot},
    },
    store::{Stored, account::StoredMovement, warning::Expiring},
};

/// The event of points that are earned.
pub(crate) fn earned(entry: &Entry, expire_time: SystemTime, lots: Vec<pb::MileageLot>) -> Event {
    Event::MileageEarned(MileageEarned {
        entry_id: entry.id.to_string(),
        payment_id: entry.payment.to_string(),
        order_id: entry.order.to_string(),
        member_id: entry.member.to_string(),
        points: entry.points.get(),
        expire_time: Some(expire_time.into()),
        lots,
    })
}

/// The event of points that are taken back.
pub(crate) fn cancelled(
    entry: &Entry,
    revoke: Option<&StoredMovement>,
    lots: Vec<pb::MileageLot>,
) -> Event {
    Event::MileageCancelled(MileageCancelled {
        entry_id: entry.id.to_string(),
        payment_id: entry.payment.to_string(),
        order_id: entry.order.to_string(),
        member_id: entry.member.to_string(),
        points: entry.points.get(),
        revoke: revoke.map(movement),
        lots,
        by_lots: true,
    })
}

/// The event of points that are taken back since some of their payment went back.
pub(crate) fn revoked(entry: &Entry, revoke: &StoredMovement, lots: Vec<pb::MileageLot>) -> Event {
    Event::MileageRevoked(MileageRevoked {
        payment_id: entry.payment.to_string(),
        order_id: entry.order.to_string(),
        member_id: entry.member.to_string(),
        revoke: Some(movement(revoke)),
        lots,
    })
}

/// The event of points that are spent.
pub(crate) fn spent(entry: &StoredMovement, order: OrderId, lots: Vec<pb::MileageLot>) -> Event {
    Event::MileageSpent(MileageSpent {
        order_id: order.to_string(),
        member_id: entry.member.to_string(),
        entry: Some(movement(entry)),
        lots,
    })
}

/// The event of points that are back.
pub(crate) fn restored(
    (order, member): (OrderId, MemberId),
    entries: &[StoredMovement],
    lots: Vec<pb::MileageLot>,
) -> Event {
    Event::MileageRestored(MileageRestored {
        order_id: order.to_string(),
        member_id: member.to_string(),
        entries: entries.iter().map(movement).collect(),
        lots,
    })
}

/// The event of points that nobody has spent in time.
pub(crate) fn expired(
    member: MemberId,
    entries: &[StoredMovement],
    lots: Vec<pb::MileageLot>,
) -> Event {
    Event::MileageExpired(MileageExpired {
        member_id: member.to_string(),
        entries: entries.iter().map(movement).collect(),
        lots,
    })
}

/// The event of points that expire soon.
pub(crate) fn expiring(expiring: &Expiring) -> Event {
    Event::MileageExpiring(MileageExpiring {
        member_id: expiring.member.to_string(),
        points: expiring.points,
        before: Some(expiring.before.into()),
        entry_id: expiring.entry.to_string(),
    })
}

/// What is left of an entry's points, in events.
pub(crate) fn lot(entry: EntryId, lot: &Lot, version: i64) -> pb::MileageLot {
    pb::MileageLot {
        entry_id: entry.to_string(),
        remaining: lot.remaining,
        expire_time: Some(lot.expire_time.into()),
        version,
    }
}

/// What a payment earned, on the wire.
pub(crate) fn entry(stored: &Stored) -> pb::MileageEntry {
    let entry = &stored.entry;
    let state = match entry.state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::mileage_entry::State::Unspecified,
        State::Earned => pb::mileage_entry::State::Earned,
        State::Cancelled => pb::mileage_entry::State::Cancelled,
    };
    pb::MileageEntry {
        id: entry.id.to_string(),
        payment_id: entry.payment.to_string(),
        order_id: entry.order.to_string(),
        member_id: entry.member.to_string(),
        points: entry.points.get(),
        state: state.into(),
        create_time: Some(stored.create_time.into()),
        kind: pb::mileage_entry::Kind::Earn.into(),
        expire_time: stored.expire_time.map(Into::into),
        earn_entry_id: String::new(),
    }
}

/// Any other entry on the wire.
pub(crate) fn movement(stored: &StoredMovement) -> pb::MileageEntry {
    let movement = &stored.movement;
    let kind = match movement.kind {
        Kind::Spend => pb::mileage_entry::Kind::Spend,
        Kind::Restore => pb::mileage_entry::Kind::Restore,
        Kind::Revoke => pb::mileage_entry::Kind::Revoke,
        Kind::Expire => pb::mileage_entry::Kind::Expire,
    };
    pb::MileageEntry {
        id: stored.id.to_string(),
        payment_id: String::new(),
        order_id: movement.order.map(|order| order.to_string()).unwrap_or_default(),
        member_id: stored.member.to_string(),
        points: movement.points,
        state: pb::mileage_entry::State::Unspecified.into(),
        create_time: Some(stored.create_time.into()),
        kind: kind.into(),
        expire_time: movement.expire_time.map(Into::into),
        earn_entry_id: movement.lot.map(|lot| lot.to_string()).unwrap_or_default(),
    }
}
