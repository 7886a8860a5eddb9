//! What mileage's events say of members' points, also those of versions before, which
//! knew nothing of lots.

use std::time::{Duration, SystemTime};

use base::{Error, id::Uuid};
use contracts::mileage::v1::{
    MileageCancelled, MileageEarned, MileageEntry, MileageEvent, MileageLot, mileage_event::Event,
};
use eventlog::Arrived;

use crate::{
    domain::{EntryId, MemberId, OrderId, PaymentId},
    store::points::{Lot, Movement, Points, Said},
};

/// When what versions before have earned expires.
const EXPIRE_AFTER: Duration = Duration::from_hours(365 * 24);

/// What an event says; none where the page shows nothing of it.
pub(crate) fn said(arrived: &Arrived<MileageEvent>) -> Result<Option<Said>, Error> {
    let (member, entries, lots) = match &arrived.message.event {
        Some(Event::MileageEarned(it)) => return earned(it, arrived.occurred_at).map(Some),
        Some(Event::MileageCancelled(it)) => return cancelled(it, arrived.occurred_at).map(Some),
        Some(Event::MileageSpent(it)) => (&it.member_id, it.entry.as_slice(), &it.lots),
        Some(Event::MileageRestored(it)) => (&it.member_id, &*it.entries, &it.lots),
        Some(Event::MileageRevoked(it)) => (&it.member_id, it.revoke.as_slice(), &it.lots),
        Some(Event::MileageExpired(it)) => (&it.member_id, &*it.entries, &it.lots),
        // A message says it.
        Some(Event::MileageExpiring(_)) | None => return Ok(None),
    };
    let member = MemberId::parse("member_id", member)?;
    let movement = |entry: &MileageEntry| movement(member, entry, arrived.occurred_at);
    Ok(Some(Said {
        points: Vec::new(),
        movements: entries.iter().map(movement).collect::<Result<_, _>>()?,
        lots: lots.iter().map(|it| lot(member, it)).collect::<Result<_, _>>()?,
    }))
}

fn earned(it: &MileageEarned, at: SystemTime) -> Result<Said, Error> {
    let (entry, member) =
        (EntryId::parse("entry_id", &it.entry_id)?, MemberId::parse("member_id", &it.member_id)?);
    let points = Points {
        entry,
        payment: PaymentId::parse("payment_id", &it.payment_id)?,
        order: OrderId::parse("order_id", &it.order_id)?,
        member,
        points: it.points,
        cancelled: false,
        expire_time: None,
        create_time: at,
    };
    let lots = if it.expire_time.is_none() && it.points > 0 {
        let expire_time = at + EXPIRE_AFTER;
        vec![Lot { entry, member, remaining: it.points, expire_time, version: 1 }]
    } else {
        it.lots.iter().map(|it| lot(member, it)).collect::<Result<_, _>>()?
    };
    Ok(Said { points: vec![points], movements: Vec::new(), lots })
}

fn cancelled(it: &MileageCancelled, at: SystemTime) -> Result<Said, Error> {
    let (entry, member) =
        (EntryId::parse("entry_id", &it.entry_id)?, MemberId::parse("member_id", &it.member_id)?);
    let points = Points {
        entry,
        payment: PaymentId::parse("payment_id", &it.payment_id)?,
        order: OrderId::parse("order_id", &it.order_id)?,
        member,
        points: it.points,
        cancelled: true,
        expire_time: None,
        create_time: at,
    };
    let before = !it.by_lots && it.points > 0;
    let movements = if before {
        vec![revoke(&points)]
    } else {
        it.revoke.iter().map(|it| movement(member, it, at)).collect::<Result<_, _>>()?
    };
    let lots = if before {
        vec![Lot { entry, member, remaining: 0, expire_time: at + EXPIRE_AFTER, version: 2 }]
    } else {
        it.lots.iter().map(|it| lot(member, it)).collect::<Result<_, _>>()?
    };
    Ok(Said { points: vec![points], movements, lots })
}

/// The entry that mileage has of what a version before has taken back: its id is that of what was
/// earned but for the last bit.
fn revoke(points: &Points) -> Movement {
    Movement {
        entry: EntryId(Uuid::from_u128(points.entry.0.as_u128() ^ 1)),
        member: points.member,
        kind: "REVOKE".to_owned(),
        points: -points.points,
        order: None,
        earn_entry: Some(points.entry),
        expire_time: None,
        create_time: points.create_time,
    }
}

fn movement(member: MemberId, entry: &MileageEntry, at: SystemTime) -> Result<Movement, Error> {
    let time = |time: prost_types::Timestamp| SystemTime::try_from(time).ok();
    Ok(Movement {
        entry: EntryId::parse("entry.id", &entry.id)?,
        member,
        kind: entry.kind().as_str_name().to_owned(),
        points: entry.points,
        order: OrderId::optional("entry.order_id", &entry.order_id)?,
        earn_entry: EntryId::optional("entry.earn_entry_id", &entry.earn_entry_id)?,
        expire_time: entry.expire_time.and_then(time),
        create_time: entry.create_time.and_then(time).unwrap_or(at),
    })
}

fn lot(member: MemberId, lot: &MileageLot) -> Result<Lot, Error> {
    let wrong = || Error::internal("a lot without an expiry");
    let expire_time = lot.expire_time.ok_or_else(wrong)?;
    Ok(Lot {
        entry: EntryId::parse("lot.entry_id", &lot.entry_id)?,
        member,
        remaining: lot.remaining,
        expire_time: SystemTime::try_from(expire_time).map_err(|_| wrong())?,
        version: lot.version,
    })
}
