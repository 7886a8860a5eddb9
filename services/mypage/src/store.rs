//! All the SQL of the read models.

pub(crate) mod addresses;
pub(crate) mod audit;
pub(crate) mod changes;
pub(crate) mod coupons;
mod parcels;
pub(crate) mod parts;
pub(crate) mod points;
mod refunds;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, error::not_found, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::domain::{MemberId, OrderId};

pub(crate) use self::{
    coupons::Coupon,
    parcels::{Parcel, keep as keep_parcels},
    refunds::{Refund, keep as keep_refunds},
};

/// A state that an order passed.
pub(crate) struct Milestone {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    /// Its name in the contract.
    pub(crate) state: &'static str,
    /// The order's: of two, the higher is the later.
    pub(crate) version: i64,
    pub(crate) at: SystemTime,
    pub(crate) trace_id: String,
    /// The encoded `OrderPlaced`, of the first milestone alone.
    pub(crate) placed: Option<Vec<u8>>,
    /// Empty, but of the last.
    pub(crate) cancel_reason: &'static str,
    /// Empty, but of CLOSED.
    pub(crate) close_reason: &'static str,
    /// Of DELIVERED and CLOSED.
    pub(crate) returnable_until: Option<SystemTime>,
}

/// Adds milestones, in this order; the last of an order is its state.
pub(crate) async fn pass(tx: &mut Tx, milestones: &[Milestone]) -> Result<(), Error> {
    if milestones.is_empty() {
        return Ok(());
    }
    // One row an order: a statement may not touch a row twice.
    let mut latest: BTreeMap<OrderId, (&Milestone, Option<&[u8]>)> = BTreeMap::new();
    for milestone in milestones {
        let placed = milestone.placed.as_deref();
        let entry = latest.entry(milestone.order).or_insert((milestone, placed));
        *entry = (milestone, entry.1.or(placed));
    }
    let column = |of: fn(&Milestone) -> &'static str| {
        latest.values().map(|(milestone, _)| of(milestone)).collect::<Vec<_>>()
    };
    let orders: Vec<Uuid> = latest.keys().map(|order| order.0).collect();
    let members = latest.values().map(|(milestone, _)| milestone.member);
    let placed: Vec<Option<&[u8]>> = latest.values().map(|(_, placed)| *placed).collect();
    // The page tells how many orders there are.
    let pages = milestones.iter().filter(|m| m.placed.is_some()).map(|m| m.member).collect();
    let counted = changes::count(tx, members.clone(), &pages).await?;
    let (members, changes): (Vec<_>, Vec<_>) = members.map(|id| (id.0, counted[&id])).unzip();
    let (states, reasons) = (column(|m| m.state), column(|m| m.cancel_reason));
    let closed = column(|m| m.close_reason);
    let returnable: Vec<_> = latest.values().map(|(m, _)| m.returnable_until).collect();
    let passed: Vec<Uuid> = milestones.iter().map(|milestone| milestone.order.0).collect();
    let names: Vec<&str> = milestones.iter().map(|milestone| milestone.state).collect();
    let versions: Vec<i64> = milestones.iter().map(|milestone| milestone.version).collect();
    let times: Vec<SystemTime> = milestones.iter().map(|milestone| milestone.at).collect();
    let traces: Vec<&str> = milestones.iter().map(|milestone| &*milestone.trace_id).collect();
    tx.execute(
        "with seen as (
           insert into order_view (order_id, member_id, state, cancel_reason, placed, change,
             close_reason, returnable_until)
           select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[],
             $6::bigint[], $12::text[], $13::timestamptz[])
           on conflict (order_id) do update set state = excluded.state,
             cancel_reason = excluded.cancel_reason, close_reason = excluded.close_reason,
             placed = coalesce(excluded.placed, order_view.placed), change = excluded.change,
             returnable_until = coalesce(excluded.returnable_until, order_view.returnable_until))
         insert into milestone (order_id, state, version, at, trace_id)
         select * from unnest($7::uuid[], $8::text[], $9::bigint[], $10::timestamptz[],
           $11::text[])
         on conflict (order_id, state) do nothing",
        &[
            &orders,
            &members,
            &states,
            &reasons,
            &placed,
            &changes,
            &passed,
            &names,
            &versions,
            &times,
            &traces,
            &closed,
            &returnable,
        ],
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
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    /// Its name in the contract.
    pub(crate) state: &'static str,
    /// Of two, the higher is the later.
    pub(crate) version: i64,
}

/// Sets the states of a part; older ones than known are passed over.
pub(crate) async fn set_part(tx: &mut Tx, part: Part, states: &[PartState]) -> Result<(), Error> {
    if states.is_empty() {
        return Ok(());
    }
    let mut latest: BTreeMap<OrderId, &PartState> = BTreeMap::new();
    for state in states {
        let entry = latest.entry(state.order).or_insert(state);
        if entry.version < state.version {
            *entry = state;
        }
    }
    let orders: Vec<Uuid> = latest.keys().map(|order| order.0).collect();
    let members = latest.values().map(|state| state.member);
    let names: Vec<&str> = latest.values().map(|state| state.state).collect();
    let versions: Vec<i64> = latest.values().map(|state| state.version).collect();
    let counted = changes::count(tx, members.clone(), &BTreeSet::new()).await?;
    let (members, changes): (Vec<_>, Vec<_>) = members.map(|id| (id.0, counted[&id])).unzip();
    let sql = match part {
        Part::Payment => {
            "insert into order_view (order_id, member_id, payment_state, payment_version, change)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
             on conflict (order_id) do update set payment_state = excluded.payment_state,
               payment_version = excluded.payment_version, change = excluded.change
             where order_view.payment_version < excluded.payment_version"
        }
        Part::Delivery => {
            "insert into order_view (order_id, member_id, delivery_state, delivery_version, change)
             select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
             on conflict (order_id) do update set delivery_state = excluded.delivery_state,
               delivery_version = excluded.delivery_version, change = excluded.change
             where order_view.delivery_version < excluded.delivery_version"
        }
    };
    tx.execute(sql, &[&orders, &members, &names, &versions, &changes]).await?;
    Ok(())
}

/// All that makes up an order's view `o`, with what stands beside it.
macro_rules! select_views {
    ($from:literal) => {
        concat!(
            "select o.order_id, o.member_id, o.state, o.cancel_reason, o.placed, o.payment_state,
               o.delivery_state, o.carrier, o.tracking_number, o.close_reason, o.change,
               o.returnable_until, (select clock_now()) as now,
               (select a.body from address_view a where a.order_id = o.order_id) as address,
               (select array_agg(r.body order by r.refund_id) from refund_view r
                where r.order_id = o.order_id) as refunds,
               p.parts, p.part_times, m.states, m.times, m.traces
             from ",
            $from,
            " o
             join lateral (
               select array_agg(m.state order by m.version) as states,
                 array_agg(m.at order by m.version) as times,
                 array_agg(m.trace_id order by m.version) as traces
               from milestone m where m.order_id = o.order_id having count(*) > 0) m on true
             cross join lateral (
               select array_agg(p.body order by p.version) as parts,
                 array_agg(p.at order by p.version) as part_times
               from part_event p where p.order_id = o.order_id) p"
        )
    };
}
use select_views;

/// An order as the page shows it.
pub(crate) struct OrderView {
    pub(crate) order: OrderId,
    pub(crate) state: String,
    pub(crate) cancel_reason: String,
    pub(crate) close_reason: String,
    /// The encoded `OrderPlaced`.
    pub(crate) placed: Vec<u8>,
    pub(crate) payment_state: String,
    pub(crate) delivery_state: String,
    /// Empty until it is dispatched.
    pub(crate) carrier: String,
    pub(crate) tracking_number: String,
    /// Where it goes, encoded.
    pub(crate) address: Option<Vec<u8>>,
    /// Encoded, the oldest first.
    pub(crate) refunds: Vec<Vec<u8>>,
    /// What was taken back of it: encoded events, the oldest first.
    pub(crate) parts: Vec<(SystemTime, Vec<u8>)>,
    pub(crate) returnable_until: Option<SystemTime>,
    pub(crate) member: MemberId,
    /// What time it was when it was read, by the service's clock.
    pub(crate) now: SystemTime,
    /// The oldest first.
    pub(crate) history: Vec<Passed>,
}

/// A milestone as the page shows it.
pub(crate) struct Passed {
    pub(crate) state: String,
    pub(crate) at: SystemTime,
    pub(crate) trace_id: String,
}

impl OrderView {
    fn from_row(row: &Row) -> Self {
        let states: Vec<String> = row.get("states");
        let times: Vec<SystemTime> = row.get("times");
        let traces: Vec<String> = row.get("traces");
        let passed = states.into_iter().zip(times).zip(traces);
        Self {
            order: OrderId(row.get("order_id")),
            state: row.get("state"),
            cancel_reason: row.get("cancel_reason"),
            close_reason: row.get("close_reason"),
            placed: row.get::<_, Option<Vec<u8>>>("placed").unwrap_or_default(),
            payment_state: row.get("payment_state"),
            delivery_state: row.get("delivery_state"),
            carrier: row.get("carrier"),
            tracking_number: row.get("tracking_number"),
            address: row.get("address"),
            refunds: row.get::<_, Option<Vec<Vec<u8>>>>("refunds").unwrap_or_default(),
            parts: parts::of(row),
            returnable_until: row.get("returnable_until"),
            member: MemberId(row.get("member_id")),
            now: row.get("now"),
            history: passed.map(|((state, at), trace_id)| Passed { state, at, trace_id }).collect(),
        }
    }
}

/// Reads a page of a member's orders, newest first.
pub(crate) async fn orders(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<OrderView>, Error> {
    let rows = reader
        .query(
            concat!(
                select_views!(
                    "(select * from order_view
                      where member_id = $1 and state is not null and order_id < $2
                      order by order_id desc limit $3)"
                ),
                " order by o.order_id desc"
            ),
            &[&member.0, &page.below.unwrap_or(Uuid::max()), &page.limit()],
        )
        .await?;
    Ok(rows.iter().map(OrderView::from_row).collect())
}

/// Reads one of a member's orders.
pub(crate) async fn order(
    reader: &mut Reader,
    member: MemberId,
    order: OrderId,
) -> Result<OrderView, Error> {
    let row = reader
        .query_opt(
            concat!(
                select_views!("order_view"),
                " where o.order_id = $1 and o.member_id = $2 and o.state is not null"
            ),
            &[&order.0, &member.0],
        )
        .await?;
    row.as_ref().map(OrderView::from_row).ok_or_else(not_found)
}

/// Whose order it is, if it has been heard of.
pub(crate) async fn member_of(
    reader: &mut Reader,
    order: OrderId,
) -> Result<Option<MemberId>, Error> {
    let sql = "select member_id from order_view where order_id = $1";
    Ok(reader.query_opt(sql, &[&order.0]).await?.map(|row| MemberId(row.get(0))))
}

/// Something that is known of a member.
#[derive(Clone, Copy)]
pub(crate) enum Fact {
    Registered,
    Withdrawn,
    AdminNotified,
}

/// A fact about a member.
pub(crate) struct Learned {
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
}

/// Takes in facts about members, in any order.
pub(crate) async fn learn(tx: &mut Tx, facts: &[Learned]) -> Result<(), Error> {
    if facts.is_empty() {
        return Ok(());
    }
    let mut members: BTreeMap<MemberId, [bool; 3]> = BTreeMap::new();
    for learned in facts {
        let [registered, withdrawn, admin_notified] = members.entry(learned.member).or_default();
        match learned.fact {
            Fact::Registered => *registered = true,
            Fact::Withdrawn => *withdrawn = true,
            Fact::AdminNotified => *admin_notified = true,
        }
    }
    changes::count_pages(tx, members.keys().copied()).await?;
    let ids: Vec<Uuid> = members.keys().map(|member| member.0).collect();
    let column = |of: usize| members.values().map(|facts| facts[of]).collect::<Vec<_>>();
    tx.execute(
        "insert into member_view (member_id, registered, withdrawn, admin_notified)
         select * from unnest($1::uuid[], $2::bool[], $3::bool[], $4::bool[])
         on conflict (member_id) do update set
           registered = member_view.registered or excluded.registered,
           withdrawn = member_view.withdrawn or excluded.withdrawn,
           admin_notified = member_view.admin_notified or excluded.admin_notified",
        &[&ids, &column(0), &column(1), &column(2)],
    )
    .await?;
    Ok(())
}

/// A member as the page shows them.
pub(crate) struct Member {
    pub(crate) withdrawn: bool,
    pub(crate) admin_notified: bool,
    pub(crate) orders: i64,
}

/// Reads a member who has signed up.
pub(crate) async fn member(reader: &mut Reader, id: MemberId) -> Result<Member, Error> {
    let row = reader
        .query_opt(
            "select withdrawn, admin_notified,
               (select count(*) from order_view o
                where o.member_id = m.member_id and o.state is not null) as orders
             from member_view m where m.member_id = $1 and m.registered",
            &[&id.0],
        )
        .await?;
    let row = row.ok_or_else(not_found)?;
    Ok(Member {
        withdrawn: row.get("withdrawn"),
        admin_notified: row.get("admin_notified"),
        orders: row.get("orders"),
    })
}
