//! All the SQL of mileage entries.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, id::Uuid, page::Page};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Reader, Tx};
use tokio_postgres::{Row, types::ToSql};

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

/// A fact about a payment.
pub(crate) struct Known {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
}

impl Aggregate for Stored {
    type Key = PaymentId;
    type Fact = Known;

    /// Makes sure that each payment has an entry's row, NEW if need be.
    async fn lock(
        tx: &mut Tx,
        facts: &[Learned<Self>],
    ) -> Result<BTreeMap<PaymentId, Self>, Error> {
        let payments: BTreeMap<PaymentId, &Known> =
            facts.iter().map(|learned| (learned.key, &learned.fact)).collect();
        let ids: Vec<Uuid> = payments.keys().map(|_| base::id::new()).collect();
        let orders: Vec<Uuid> = payments.values().map(|known| known.order.0).collect();
        let members: Vec<Uuid> = payments.values().map(|known| known.member.0).collect();
        let payments: Vec<Uuid> = payments.into_keys().map(|payment| payment.0).collect();
        let make = concat!(
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
        );
        let again = concat!(
            select_entries!(),
            " where payment_id = any($1) order by payment_id for update"
        );
        let params: &[&(dyn ToSql + Sync)] = &[&ids, &payments, &orders, &members];
        let rows = facts::lock_or_make(tx, &payments, (make, params), again).await?;
        rows.iter()
            .map(|row| Self::from_row(row).map(|stored| (stored.entry.payment, stored)))
            .collect()
    }

    fn learn(&mut self, tx: &mut Tx, known: &Known) -> Option<Vec<Draft>> {
        let outcome = self.entry.learn(known.fact);
        if outcome == Outcome::Unchanged {
            return None;
        }
        self.version += 1;
        let points = self.entry.points;
        tx.once_committed(move || metrics::changed(outcome, points));
        let event = wire::event(&self.entry, outcome);
        let entry = &self.entry;
        let draft = |event| Draft::of(event, entry.id.0, self.version, entry.order.0);
        Some(event.map(draft).into_iter().collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let payments: Vec<Uuid> = changed.iter().map(|stored| stored.entry.payment.0).collect();
        let points: Vec<i64> = changed.iter().map(|stored| stored.entry.points.get()).collect();
        let states: Vec<&str> = changed.iter().map(|stored| stored.entry.state.name()).collect();
        let versions: Vec<i64> = changed.iter().map(|stored| stored.version).collect();
        tx.execute(
            "update mileage_entry set points = n.points, state = n.state, version = n.version
             from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[])
               as n(payment_id, points, state, version)
             where mileage_entry.payment_id = n.payment_id",
            &[&payments, &points, &states, &versions],
        )
        .await?;
        Ok(())
    }
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
