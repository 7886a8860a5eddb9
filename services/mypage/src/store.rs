//! All the SQL of the read models.

use std::{collections::BTreeMap, time::SystemTime};

use kit::{Error, Tx, database::Reader, id::Uuid, incoming::not_found, page::Page};
use tokio_postgres::Row;

/// A state that an order passed.
pub(crate) struct Milestone {
    pub(crate) order: Uuid,
    pub(crate) member: Uuid,
    /// Its name in the contract.
    pub(crate) state: &'static str,
    /// The order's: of two, the higher is the later.
    pub(crate) version: i64,
    pub(crate) at: SystemTime,
    /// The encoded `OrderPlaced`, of the first milestone alone.
    pub(crate) placed: Option<Vec<u8>>,
    /// Empty, but of the last.
    pub(crate) cancel_reason: &'static str,
}

/// Adds milestones, in this order; the last of an order is its state.
pub(crate) async fn pass(tx: &mut Tx, milestones: &[Milestone]) -> Result<(), Error> {
    // One row an order: a statement may not touch a row twice.
    let mut latest: BTreeMap<Uuid, (&Milestone, Option<&[u8]>)> = BTreeMap::new();
    for milestone in milestones {
        let placed = milestone.placed.as_deref();
        let entry = latest.entry(milestone.order).or_insert((milestone, placed));
        *entry = (milestone, entry.1.or(placed));
    }
    let column = |of: fn(&Milestone) -> &'static str| {
        latest.values().map(|(milestone, _)| of(milestone)).collect::<Vec<_>>()
    };
    let orders: Vec<Uuid> = latest.keys().copied().collect();
    let members: Vec<Uuid> = latest.values().map(|(milestone, _)| milestone.member).collect();
    let placed: Vec<Option<&[u8]>> = latest.values().map(|(_, placed)| *placed).collect();
    tx.execute(
        "insert into order_view (order_id, member_id, state, cancel_reason, placed)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[])
         on conflict (order_id) do update set state = excluded.state,
           cancel_reason = excluded.cancel_reason,
           placed = coalesce(excluded.placed, order_view.placed)",
        &[&orders, &members, &column(|m| m.state), &column(|m| m.cancel_reason), &placed],
    )
    .await?;
    let orders: Vec<Uuid> = milestones.iter().map(|milestone| milestone.order).collect();
    let states: Vec<&str> = milestones.iter().map(|milestone| milestone.state).collect();
    let versions: Vec<i64> = milestones.iter().map(|milestone| milestone.version).collect();
    let times: Vec<SystemTime> = milestones.iter().map(|milestone| milestone.at).collect();
    tx.execute(
        "insert into milestone (order_id, state, version, at)
         select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[])
         on conflict (order_id, state) do nothing",
        &[&orders, &states, &versions, &times],
    )
    .await?;
    Ok(())
}

/// Another service's part in an order.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Payment,
    Delivery,
}

/// How far that part has come.
pub(crate) struct PartState {
    pub(crate) order: Uuid,
    pub(crate) member: Uuid,
    /// Its name in the contract.
    pub(crate) state: &'static str,
    /// Of two, the higher is the later.
    pub(crate) version: i64,
}

/// Sets the states of a part; older ones than known are passed over.
pub(crate) async fn set_part(tx: &mut Tx, part: Part, states: &[PartState]) -> Result<(), Error> {
    let mut latest: BTreeMap<Uuid, &PartState> = BTreeMap::new();
    for state in states {
        let entry = latest.entry(state.order).or_insert(state);
        if entry.version < state.version {
            *entry = state;
        }
    }
    let orders: Vec<Uuid> = latest.keys().copied().collect();
    let members: Vec<Uuid> = latest.values().map(|state| state.member).collect();
    let names: Vec<&str> = latest.values().map(|state| state.state).collect();
    let versions: Vec<i64> = latest.values().map(|state| state.version).collect();
    let sql = match part {
        Part::Payment => {
            "insert into order_view (order_id, member_id, payment_state, payment_version)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
             on conflict (order_id) do update set payment_state = excluded.payment_state,
               payment_version = excluded.payment_version
             where order_view.payment_version < excluded.payment_version"
        }
        Part::Delivery => {
            "insert into order_view (order_id, member_id, delivery_state, delivery_version)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[])
             on conflict (order_id) do update set delivery_state = excluded.delivery_state,
               delivery_version = excluded.delivery_version
             where order_view.delivery_version < excluded.delivery_version"
        }
    };
    tx.execute(sql, &[&orders, &members, &names, &versions]).await?;
    Ok(())
}

/// An order as the page shows it.
pub(crate) struct OrderView {
    pub(crate) order: Uuid,
    pub(crate) state: String,
    pub(crate) cancel_reason: String,
    /// The encoded `OrderPlaced`.
    pub(crate) placed: Vec<u8>,
    pub(crate) payment_state: String,
    pub(crate) delivery_state: String,
    /// States and when they were passed, the oldest first.
    pub(crate) history: Vec<(String, SystemTime)>,
}

impl OrderView {
    fn from_row(row: &Row) -> Self {
        let states: Vec<String> = row.get("states");
        let times: Vec<SystemTime> = row.get("times");
        Self {
            order: row.get("order_id"),
            state: row.get("state"),
            cancel_reason: row.get("cancel_reason"),
            placed: row.get::<_, Option<Vec<u8>>>("placed").unwrap_or_default(),
            payment_state: row.get("payment_state"),
            delivery_state: row.get("delivery_state"),
            history: states.into_iter().zip(times).collect(),
        }
    }
}

/// Reads a page of a member's orders, newest first.
pub(crate) async fn orders(
    reader: &mut Reader,
    member: Uuid,
    page: Page,
) -> Result<Vec<OrderView>, Error> {
    let rows = reader
        .query(
            "select o.order_id, o.state, o.cancel_reason, o.placed, o.payment_state,
               o.delivery_state, array_agg(m.state order by m.version) as states,
               array_agg(m.at order by m.version) as times
             from (select * from order_view
                   where member_id = $1 and state is not null
                     and ($2::uuid is null or order_id < $2)
                   order by order_id desc limit $3) o
             join milestone m using (order_id)
             group by o.order_id, o.state, o.cancel_reason, o.placed, o.payment_state,
               o.delivery_state
             order by o.order_id desc",
            &[&member, &page.below, &page.limit()],
        )
        .await?;
    Ok(rows.iter().map(OrderView::from_row).collect())
}

/// Reads one of a member's orders.
pub(crate) async fn order(
    reader: &mut Reader,
    member: Uuid,
    order: Uuid,
) -> Result<OrderView, Error> {
    let row = reader
        .query_opt(
            "select o.order_id, o.state, o.cancel_reason, o.placed, o.payment_state,
               o.delivery_state, array_agg(m.state order by m.version) as states,
               array_agg(m.at order by m.version) as times
             from order_view o join milestone m using (order_id)
             where o.order_id = $1 and o.member_id = $2 and o.state is not null
             group by o.order_id",
            &[&order, &member],
        )
        .await?;
    row.as_ref().map(OrderView::from_row).ok_or_else(not_found)
}

/// Counts a member's orders.
pub(crate) async fn count(reader: &mut Reader, member: Uuid) -> Result<i64, Error> {
    let row = reader
        .query_one(
            "select count(*) from order_view where member_id = $1 and state is not null",
            &[&member],
        )
        .await?;
    Ok(row.get(0))
}
