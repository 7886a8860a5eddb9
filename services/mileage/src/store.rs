//! All the SQL of mileage entries.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Cause, Reader, Tx};
use tokio_postgres::Row;

use crate::{
    domain::{Entry, EntryId, Fact, MemberId, OrderId, Outcome, PaymentId, Points, State},
    metrics, wire,
};

/// All that makes up an entry.
macro_rules! select_entries {
    () => {
        "select id, payment_id, order_id, member_id, points, state, version, create_time
         from mileage_entry"
    };
}

/// An entry as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) create_time: SystemTime,
    version: i64,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let entry = Entry {
            id: EntryId(row.get("id")),
            payment: PaymentId(row.get("payment_id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            points: Points::stored(row.get("points")),
            state: State::named(row.get("state"))?,
        };
        Ok(Self { entry, version: row.get("version"), create_time: row.get("create_time") })
    }
}

/// A fact about a payment, and where it comes from.
pub(crate) struct Learned {
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
    /// The event that told; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// Takes in facts about many payments, in this order. Answers their entries as they are then.
pub(crate) async fn learn(
    tx: &mut Tx,
    facts: &[Learned],
) -> Result<BTreeMap<PaymentId, Stored>, Error> {
    let mut entries = lock(tx, facts).await?;
    let mut drafts = Vec::new();
    for learned in facts {
        let Some(stored) = entries.get_mut(&learned.payment) else { continue };
        let outcome = stored.entry.learn(learned.fact);
        if outcome == Outcome::Unchanged {
            continue;
        }
        stored.version += 1;
        let points = stored.entry.points;
        tx.once_committed(move || metrics::changed(outcome, points));
        drafts.extend(told(stored, outcome).map(|draft| match &learned.cause {
            Some(cause) => draft.caused_by(cause.clone()),
            None => draft,
        }));
    }
    save(tx, &entries).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(entries)
}

/// What others are told of an outcome, if anything.
fn told(stored: &Stored, outcome: Outcome) -> Option<Draft> {
    let Stored { entry, version, .. } = stored;
    let event = wire::event(entry, outcome)?;
    Some(Draft::of(event, entry.id.0, *version, entry.order.0))
}

/// Makes sure that each payment has an entry's row, NEW if need be, and locks them all.
async fn lock(tx: &mut Tx, facts: &[Learned]) -> Result<BTreeMap<PaymentId, Stored>, Error> {
    let payments: BTreeMap<PaymentId, &Learned> = facts.iter().map(|l| (l.payment, l)).collect();
    let ids: Vec<Uuid> = payments.keys().map(|_| base::id::new()).collect();
    let orders: Vec<Uuid> = payments.values().map(|learned| learned.order.0).collect();
    let members: Vec<Uuid> = payments.values().map(|learned| learned.member.0).collect();
    let payments: Vec<Uuid> = payments.into_keys().map(|payment| payment.0).collect();
    let mut rows = tx
        .query(
            concat!(
                "with made as (
                   insert into mileage_entry (id, payment_id, order_id, member_id, points, state)
                   select i, p, o, m, 0, 'NEW'
                   from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
                     as learned (i, p, o, m)
                   on conflict (payment_id) do nothing
                   returning id, payment_id, order_id, member_id, points, state, version, create_time)
                 select * from (",
                select_entries!(),
                " where payment_id = any($2) order by payment_id for update) kept
                 union all select * from made"
            ),
            &[&ids, &payments, &orders, &members],
        )
        .await?;
    if rows.len() < payments.len() {
        // Somebody else has made one meanwhile, which that statement did not see.
        let all = concat!(
            select_entries!(),
            " where payment_id = any($1) order by payment_id for update"
        );
        rows = tx.query(all, &[&payments]).await?;
    }
    rows.iter()
        .map(|row| Stored::from_row(row).map(|stored| (stored.entry.payment, stored)))
        .collect()
}

async fn save(tx: &mut Tx, entries: &BTreeMap<PaymentId, Stored>) -> Result<(), Error> {
    let payments: Vec<Uuid> = entries.keys().map(|payment| payment.0).collect();
    let points: Vec<i64> = entries.values().map(|stored| stored.entry.points.get()).collect();
    let states: Vec<&str> = entries.values().map(|stored| stored.entry.state.name()).collect();
    let versions: Vec<i64> = entries.values().map(|stored| stored.version).collect();
    tx.execute(
        "update mileage_entry set points = n.points, state = n.state, version = n.version
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[])
           as n(payment_id, points, state, version)
         where mileage_entry.payment_id = n.payment_id and mileage_entry.version <> n.version",
        &[&payments, &points, &states, &versions],
    )
    .await?;
    Ok(())
}

/// Reads a member's balance: the points of all EARNED entries.
pub(crate) async fn balance(reader: &mut Reader, member: MemberId) -> Result<Points, Error> {
    let row = reader
        .query_one(
            "select least(coalesce(sum(points), 0), 9223372036854775807)::bigint from mileage_entry
             where member_id = $1 and state = 'EARNED'",
            &[&member.0],
        )
        .await?;
    Ok(Points::stored(row.get(0)))
}

/// Which entries to list.
pub(crate) struct Filter {
    pub(crate) member: MemberId,
    pub(crate) payment: Option<PaymentId>,
    pub(crate) order: Option<OrderId>,
}

/// Reads a page of a member's entries, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let member = filter.member.0;
    let rows = match (filter.payment, filter.order.map(|order| order.0)) {
        (Some(payment), order) => {
            let sql = concat!(
                select_entries!(),
                " where payment_id = $1 and member_id = $2 and ($3::uuid is null or order_id = $3)
                    and state <> 'REFUSED' and id < $4 limit $5"
            );
            reader.query(sql, &[&payment.0, &member, &order, &below, &limit]).await?
        }
        (None, Some(order)) => {
            let sql = concat!(
                select_entries!(),
                " where order_id = $1 and member_id = $2 and state <> 'REFUSED' and id < $3
                  order by id desc limit $4"
            );
            reader.query(sql, &[&order, &member, &below, &limit]).await?
        }
        (None, None) => {
            let sql = concat!(
                select_entries!(),
                " where member_id = $1 and state <> 'REFUSED' and id < $2
                  order by id desc limit $3"
            );
            reader.query(sql, &[&member, &below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}
