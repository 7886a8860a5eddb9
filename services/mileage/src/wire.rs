//! How entries and lots look elsewhere: on the wire, and in events.

use std::time::SystemTime;

use contracts::mileage::v1::{
    self as pb, MileageCancelled, MileageEarned, MileageExpired, MileageExpiring, MileageRestored,
    MileageRevoked, MileageSpent, mileage_event::Event,
};

pub(crate) use contracts::mileage::v1::MileageLot;

use crate::{
    domain::{
        Entry, EntryId, MemberId, OrderId, State,
        account::{Kind, Lot},
    },
    store::{Stored, account::StoredMovement, warning::Expiring},
};

/// What happened to a member's points, to be told to others.
pub(crate) enum Happened<'a> {
    /// They are earned, and expire then.
    Earned(&'a Entry, SystemTime),
    /// They are taken back; the entry by which, unless they were gone.
    Cancelled(&'a Entry, Option<&'a StoredMovement>),
    /// Some are taken back since some of their payment went back.
    Revoked(&'a Entry, &'a StoredMovement),
    Spent(OrderId, &'a StoredMovement),
    /// They are back.
    Restored(OrderId, MemberId, &'a [StoredMovement]),
    /// Nobody has spent them in time.
    Expired(MemberId, &'a [StoredMovement]),
    /// They expire soon.
    Expiring(&'a Expiring),
}

/// The event of what happened, with the lots that it has left as they are.
pub(crate) fn event(happened: &Happened<'_>, lots: Vec<MileageLot>) -> Event {
    let movements = |entries: &[StoredMovement]| entries.iter().map(movement).collect();
    match *happened {
        Happened::Earned(entry, expire_time) => Event::MileageEarned(MileageEarned {
            entry_id: entry.id.to_string(),
            payment_id: entry.payment.to_string(),
            order_id: entry.order.to_string(),
            member_id: entry.member.to_string(),
            points: entry.points.get(),
            expire_time: Some(expire_time.into()),
            lots,
        }),
        Happened::Cancelled(entry, revoke) => Event::MileageCancelled(MileageCancelled {
            entry_id: entry.id.to_string(),
            payment_id: entry.payment.to_string(),
            order_id: entry.order.to_string(),
            member_id: entry.member.to_string(),
            points: entry.points.get(),
            revoke: revoke.map(movement),
            lots,
            by_lots: true,
        }),
        Happened::Revoked(entry, revoke) => Event::MileageRevoked(MileageRevoked {
            payment_id: entry.payment.to_string(),
            order_id: entry.order.to_string(),
            member_id: entry.member.to_string(),
            revoke: Some(movement(revoke)),
            lots,
        }),
        Happened::Spent(order, entry) => Event::MileageSpent(MileageSpent {
            order_id: order.to_string(),
            member_id: entry.member.to_string(),
            entry: Some(movement(entry)),
            lots,
        }),
        Happened::Restored(order, member, entries) => Event::MileageRestored(MileageRestored {
            order_id: order.to_string(),
            member_id: member.to_string(),
            entries: movements(entries),
            lots,
        }),
        Happened::Expired(member, entries) => Event::MileageExpired(MileageExpired {
            member_id: member.to_string(),
            entries: movements(entries),
            lots,
        }),
        Happened::Expiring(expiring) => Event::MileageExpiring(MileageExpiring {
            member_id: expiring.member.to_string(),
            points: expiring.points,
            before: Some(expiring.before.into()),
            entry_id: expiring.entry.to_string(),
        }),
    }
}

/// What is left of an entry's points, in events.
pub(crate) fn lot(entry: EntryId, lot: &Lot, version: i64) -> MileageLot {
    MileageLot {
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
