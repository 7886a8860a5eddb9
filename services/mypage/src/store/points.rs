//! The SQL of members' points: what payments earned, what else changed them, and what
//! is left of them until when.

use std::{cmp::Reverse, collections::BTreeMap, time::SystemTime};

use base::{Error, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::changes;
use crate::domain::{EntryId, MemberId, OrderId, PaymentId};

/// The points of one payment.
#[derive(Clone)]
pub(crate) struct Points {
    pub(crate) entry: EntryId,
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) points: i64,
    pub(crate) cancelled: bool,
    pub(crate) expire_time: Option<SystemTime>,
    pub(crate) create_time: SystemTime,
}

/// Another change of a balance.
#[derive(Clone)]
pub(crate) struct Movement {
    pub(crate) entry: EntryId,
    pub(crate) member: MemberId,
    /// Its kind's name in the contract.
    pub(crate) kind: String,
    pub(crate) points: i64,
    pub(crate) order: Option<OrderId>,
    pub(crate) earn_entry: Option<EntryId>,
    pub(crate) expire_time: Option<SystemTime>,
    pub(crate) create_time: SystemTime,
}

/// What is left of the points of one payment.
#[derive(Clone)]
pub(crate) struct Lot {
    pub(crate) entry: EntryId,
    pub(crate) member: MemberId,
    pub(crate) remaining: i64,
    pub(crate) expire_time: SystemTime,
    /// Of two, the higher is the later.
    pub(crate) version: i64,
}

/// What an event said of points.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) points: Vec<Points>,
    pub(crate) movements: Vec<Movement>,
    pub(crate) lots: Vec<Lot>,
}

/// Takes in what was said of points, in any order.
pub(crate) async fn keep(tx: &mut Tx, said: &[Said]) -> Result<(), Error> {
    let points: Vec<&Points> = said.iter().flat_map(|it| &it.points).collect();
    let movements: Vec<&Movement> = said.iter().flat_map(|it| &it.movements).collect();
    let lots: Vec<&Lot> = said.iter().flat_map(|it| &it.lots).collect();
    let members = points.iter().map(|it| it.member).chain(movements.iter().map(|it| it.member));
    let members: Vec<MemberId> = members.chain(lots.iter().map(|it| it.member)).collect();
    if members.is_empty() {
        return Ok(());
    }
    changes::count_pages(tx, members).await?;
    keep_points(tx, &points).await?;
    keep_movements(tx, &movements).await?;
    keep_lots(tx, &lots).await
}

fn column<'a, T, U>(all: impl IntoIterator<Item = &'a T>, of: impl Fn(&'a T) -> U) -> Vec<U>
where
    T: 'a,
{
    all.into_iter().map(of).collect()
}

/// What was ever cancelled is.
async fn keep_points(tx: &mut Tx, points: &[&Points]) -> Result<(), Error> {
    // One row an entry: a statement may not touch a row twice.
    let mut kept: BTreeMap<EntryId, Points> = BTreeMap::new();
    for points in points {
        let entry = kept.entry(points.entry).or_insert_with(|| (*points).clone());
        entry.cancelled |= points.cancelled;
        entry.create_time = entry.create_time.min(points.create_time);
    }
    if kept.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into mileage_view (entry_id, payment_id, order_id, member_id, points, cancelled,
           create_time)
         select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[],
           $6::bool[], $7::timestamptz[])
         on conflict (entry_id) do update set
           cancelled = mileage_view.cancelled or excluded.cancelled,
           create_time = least(mileage_view.create_time, excluded.create_time)",
        &[
            &column(kept.values(), |points| points.entry.0),
            &column(kept.values(), |points| points.payment.0),
            &column(kept.values(), |points| points.order.0),
            &column(kept.values(), |points| points.member.0),
            &column(kept.values(), |points| points.points),
            &column(kept.values(), |points| points.cancelled),
            &column(kept.values(), |points| points.create_time),
        ],
    )
    .await?;
    Ok(())
}

async fn keep_movements(tx: &mut Tx, movements: &[&Movement]) -> Result<(), Error> {
    if movements.is_empty() {
        return Ok(());
    }
    let movements = movements.iter().copied();
    tx.execute(
        "insert into movement_view (entry_id, member_id, kind, points, order_id, earn_entry_id,
           expire_time, create_time)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::uuid[],
           $6::uuid[], $7::timestamptz[], $8::timestamptz[])
         on conflict (entry_id) do nothing",
        &[
            &column(movements.clone(), |it| it.entry.0),
            &column(movements.clone(), |it| it.member.0),
            &column(movements.clone(), |it| it.kind.as_str()),
            &column(movements.clone(), |it| it.points),
            &column(movements.clone(), |it| it.order.map(|order| order.0)),
            &column(movements.clone(), |it| it.earn_entry.map(|entry| entry.0)),
            &column(movements.clone(), |it| it.expire_time),
            &column(movements, |it| it.create_time),
        ],
    )
    .await?;
    Ok(())
}

async fn keep_lots(tx: &mut Tx, lots: &[&Lot]) -> Result<(), Error> {
    let mut latest: BTreeMap<EntryId, &Lot> = BTreeMap::new();
    for lot in lots {
        let entry = latest.entry(lot.entry).or_insert(lot);
        if entry.version < lot.version {
            *entry = lot;
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let latest: Vec<&Lot> = latest.into_values().collect();
    let lots = latest.iter().copied();
    tx.execute(
        "insert into lot_view (entry_id, member_id, remaining, expire_time, version)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[],
           $5::bigint[])
         on conflict (entry_id) do update set remaining = excluded.remaining,
           expire_time = excluded.expire_time, version = excluded.version
         where lot_view.version < excluded.version",
        &[
            &column(lots.clone(), |lot| lot.entry.0),
            &column(lots.clone(), |lot| lot.member.0),
            &column(lots.clone(), |lot| lot.remaining),
            &column(lots.clone(), |lot| lot.expire_time),
            &column(lots, |lot| lot.version),
        ],
    )
    .await?;
    Ok(())
}

/// Adds up what changed a member's points.
pub(crate) async fn balance(reader: &mut Reader, member: MemberId) -> Result<i64, Error> {
    let row = reader
        .query_one(
            "select least(
               coalesce((select sum(points) from mileage_view where member_id = $1), 0)
               + coalesce((select sum(points) from movement_view where member_id = $1), 0),
               9223372036854775807)::bigint",
            &[&member.0],
        )
        .await?;
    Ok(row.get(0))
}

/// Adds up what expires within 30 days, unless it is spent, and answers before when that is.
pub(crate) async fn expiring(
    reader: &mut Reader,
    member: MemberId,
) -> Result<(i64, SystemTime), Error> {
    let row = reader
        .query_one(
            "select least(coalesce(sum(remaining), 0), 9223372036854775807)::bigint,
               date_trunc('hour', clock_now() + interval '30 days 1 hour')
             from lot_view
             where member_id = $1 and remaining > 0
               and expire_time < date_trunc('hour', clock_now() + interval '30 days 1 hour')",
            &[&member.0],
        )
        .await?;
    Ok((row.get(0), row.get(1)))
}

/// An entry of either kind.
pub(crate) enum Line {
    Earned(Points),
    Moved(Movement),
}

impl Line {
    pub(crate) fn id(&self) -> EntryId {
        match self {
            Self::Earned(points) => points.entry,
            Self::Moved(movement) => movement.entry,
        }
    }
}

/// Reads a page of what changed a member's points, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<Line>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let earned = reader
        .query(
            "select m.entry_id, m.payment_id, m.order_id, m.points, m.cancelled, m.create_time,
               (select l.expire_time from lot_view l where l.entry_id = m.entry_id) as expire_time
             from mileage_view m where m.member_id = $1 and m.entry_id < $2
             order by m.entry_id desc limit $3",
            &[&member.0, &below, &limit],
        )
        .await?;
    let moved = reader
        .query(
            "select entry_id, kind, points, order_id, earn_entry_id, expire_time, create_time
             from movement_view where member_id = $1 and entry_id < $2
             order by entry_id desc limit $3",
            &[&member.0, &below, &limit],
        )
        .await?;
    let points = |row: &Row| {
        Line::Earned(Points {
            entry: EntryId(row.get("entry_id")),
            payment: PaymentId(row.get("payment_id")),
            order: OrderId(row.get("order_id")),
            member,
            points: row.get("points"),
            cancelled: row.get("cancelled"),
            expire_time: row.get("expire_time"),
            create_time: row.get("create_time"),
        })
    };
    let movement = |row: &Row| {
        Line::Moved(Movement {
            entry: EntryId(row.get("entry_id")),
            member,
            kind: row.get("kind"),
            points: row.get("points"),
            order: row.get::<_, Option<Uuid>>("order_id").map(OrderId),
            earn_entry: row.get::<_, Option<Uuid>>("earn_entry_id").map(EntryId),
            expire_time: row.get("expire_time"),
            create_time: row.get("create_time"),
        })
    };
    let lines = earned.iter().map(points).chain(moved.iter().map(movement));
    let mut lines: Vec<Line> = lines.collect();
    lines.sort_by_key(|line| Reverse(line.id()));
    lines.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(lines)
}
