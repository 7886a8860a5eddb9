//! What is read of members' points.

use std::time::SystemTime;

use base::{Error, id::Uuid, page::Page};
use pg::Reader;
use tokio_postgres::Row;

use super::{Stored, account::StoredMovement};
use crate::domain::{
    EntryId, MemberId, OrderId, PaymentId,
    account::{Kind, Movement},
};

/// A member's balance, and what of it is about to expire.
pub(crate) struct Balance {
    pub(crate) points: i64,
    pub(crate) expiring: i64,
    pub(crate) before: SystemTime,
}

/// Reads a member's balance; sums that do not fit are the largest number.
pub(crate) async fn balance(reader: &mut Reader, member: MemberId) -> Result<Balance, Error> {
    let row = reader
        .query_one(
            "select least(
               coalesce((select sum(remaining) from mileage_lot
                 where member_id = $1 and remaining > 0), 0)
               - coalesce((select debt from mileage_account where member_id = $1), 0),
               9223372036854775807)::bigint as points,
             least(coalesce((select sum(remaining) from mileage_lot
                 where member_id = $1 and remaining > 0
                   and expire_time < date_trunc('hour', clock_now() + interval '30 days 1 hour')), 0),
               9223372036854775807)::bigint as expiring,
             date_trunc('hour', clock_now() + interval '30 days 1 hour') as before",
            &[&member.0],
        )
        .await?;
    Ok(Balance {
        points: row.get("points"),
        expiring: row.get("expiring"),
        before: row.get("before"),
    })
}

/// Which entries to list.
pub(crate) struct Filter {
    pub(crate) member: MemberId,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) order: Option<OrderId>,
}

/// An entry of either kind.
pub(crate) enum Line {
    Earned(Stored),
    Moved(StoredMovement),
}

impl Line {
    pub(crate) fn id(&self) -> EntryId {
        match self {
            Self::Earned(stored) => stored.entry.id,
            Self::Moved(stored) => stored.id,
        }
    }
}

/// Reads a page of a member's entries, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Line>, Error> {
    let mut lines: Vec<Line> = Vec::new();
    for row in earned(reader, filter, page).await? {
        lines.push(Line::Earned(Stored::from_row(&row)?));
    }
    // A payment has what it earned, and nothing else.
    if filter.payment.is_none() {
        for row in moved(reader, filter, page).await? {
            lines.push(Line::Moved(movement(filter.member, &row)?));
        }
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.id()));
    lines.truncate(usize::try_from(page.limit()).unwrap_or(usize::MAX));
    Ok(lines)
}

/// What payments earned.
macro_rules! select_earned {
    ($rest:literal) => {
        concat!(
            "select e.id, e.payment_id, e.order_id, e.member_id, e.points, e.taken_back,
               e.basis_points, e.state, e.version, e.create_time,
               (select l.expire_time from mileage_lot l where l.entry_id = e.id) as expire_time
             from mileage_entry e where ",
            $rest
        )
    };
}

async fn earned(reader: &mut Reader, filter: &Filter, page: Page) -> Result<Vec<Row>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let member = filter.member.0;
    let rows = match (filter.payment, filter.order.map(|order| order.0)) {
        (Some(payment), order) => {
            let sql = select_earned!(
                "payment_id = $1 and member_id = $2 and ($3::uuid is null or order_id = $3)
                   and state <> 'REFUSED' and id < $4 limit $5"
            );
            reader.query(sql, &[&payment.0, &member, &order, &below, &limit]).await?
        }
        (None, Some(order)) => {
            let sql = select_earned!(
                "order_id = $1 and member_id = $2 and state <> 'REFUSED' and id < $3
                 order by id desc limit $4"
            );
            reader.query(sql, &[&order, &member, &below, &limit]).await?
        }
        (None, None) => {
            let sql = select_earned!(
                "member_id = $1 and state <> 'REFUSED' and id < $2 order by id desc limit $3"
            );
            reader.query(sql, &[&member, &below, &limit]).await?
        }
    };
    Ok(rows)
}

async fn moved(reader: &mut Reader, filter: &Filter, page: Page) -> Result<Vec<Row>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let order = filter.order.map(|order| order.0);
    let sql = "select id, kind, points, order_id, entry_id, expire_time, create_time
         from mileage_movement
         where member_id = $1 and ($2::uuid is null or order_id = $2) and id < $3
         order by id desc limit $4";
    Ok(reader.query(sql, &[&filter.member.0, &order, &below, &limit]).await?)
}

fn movement(member: MemberId, row: &Row) -> Result<StoredMovement, Error> {
    let movement = Movement {
        kind: Kind::named(row.get("kind"))?,
        points: row.get("points"),
        order: row.get::<_, Option<Uuid>>("order_id").map(OrderId),
        lot: row.get::<_, Option<Uuid>>("entry_id").map(EntryId),
        expire_time: row.get("expire_time"),
    };
    let (id, create_time) = (EntryId(row.get("id")), row.get("create_time"));
    Ok(StoredMovement { id, member, movement, create_time })
}
