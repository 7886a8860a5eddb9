//! All the SQL of deliveries.

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, error::not_found, id::Uuid, page::Page};
use contracts::delivery::v1::{
    DeliveryCancelled, DeliveryCompleted, DeliveryStarted, delivery_event::Event,
};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::domain::{DeliveryId, Fact, MemberId, OrderId, State};

/// All that makes up a delivery.
macro_rules! select_deliveries {
    () => {
        "select id, order_id, member_id, state, version, create_time from delivery"
    };
}

/// A delivery as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) state: State,
    pub(crate) create_time: SystemTime,
    version: i64,
}

impl Delivery {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: DeliveryId(row.get("id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            state: State::named(row.get("state"))?,
            create_time: row.get("create_time"),
            version: row.get("version"),
        })
    }
}

/// A fact about an order.
pub(crate) struct Known {
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
}

impl Aggregate for Delivery {
    type Key = OrderId;
    type Fact = Known;

    /// Makes sure that each order has a delivery row, NEW if need be.
    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<OrderId, Self>, Error> {
        let members: BTreeMap<Uuid, Uuid> =
            facts.iter().map(|learned| (learned.key.0, learned.fact.member.0)).collect();
        let ids: Vec<Uuid> = members.keys().map(|_| base::id::new()).collect();
        let (orders, members): (Vec<Uuid>, Vec<Uuid>) = members.into_iter().unzip();
        let make = concat!(
            "with made as (
               insert into delivery (id, order_id, member_id, state)
               select i, o, m, 'NEW'
               from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as learned (i, o, m)
               on conflict (order_id) do nothing
               returning id, order_id, member_id, state, version, create_time)
             select * from (",
            select_deliveries!(),
            " where order_id = any($2) order by order_id for update) kept
             union all select * from made"
        );
        let again =
            concat!(select_deliveries!(), " where order_id = any($1) order by order_id for update");
        let rows =
            facts::lock_or_make(tx, &orders, (make, &[&ids, &orders, &members]), again).await?;
        rows.iter()
            .map(|row| Self::from_row(row).map(|delivery| (delivery.order, delivery)))
            .collect()
    }

    fn learn(&mut self, _: &mut Tx, known: &Known) -> Option<Vec<Draft>> {
        let state = self.state.after(known.fact);
        if state == self.state {
            return None;
        }
        (self.state, self.version) = (state, self.version + 1);
        Some(event(self).into_iter().collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let orders: Vec<Uuid> = changed.iter().map(|delivery| delivery.order.0).collect();
        let states: Vec<&str> = changed.iter().map(|delivery| delivery.state.name()).collect();
        let versions: Vec<i64> = changed.iter().map(|delivery| delivery.version).collect();
        tx.execute(
            "update delivery set state = n.state, version = n.version
             from unnest($1::uuid[], $2::text[], $3::bigint[]) as n(order_id, state, version)
             where delivery.order_id = n.order_id",
            &[&orders, &states, &versions],
        )
        .await?;
        Ok(())
    }
}

/// The event of a delivery's new state.
fn event(delivery: &Delivery) -> Option<Draft> {
    let delivery_id = delivery.id.to_string();
    let (order_id, member_id) = (delivery.order.to_string(), delivery.member.to_string());
    let event = match delivery.state {
        State::Started => {
            Event::DeliveryStarted(DeliveryStarted { delivery_id, order_id, member_id })
        }
        State::Completed => {
            Event::DeliveryCompleted(DeliveryCompleted { delivery_id, order_id, member_id })
        }
        State::Cancelled => {
            Event::DeliveryCancelled(DeliveryCancelled { delivery_id, order_id, member_id })
        }
        State::New | State::Refused => return None,
    };
    Some(Draft::of(event, delivery.id.0, delivery.version, delivery.order.0))
}

/// Reads one delivery that `owner` may see (`None`: any).
pub(crate) async fn get(
    reader: &mut Reader,
    id: DeliveryId,
    owner: Option<Uuid>,
) -> Result<Delivery, Error> {
    let row = reader
        .query_opt(
            concat!(
                select_deliveries!(),
                " where id = $1 and state <> 'REFUSED' and ($2::uuid is null or member_id = $2)"
            ),
            &[&id.0, &owner],
        )
        .await?;
    Delivery::from_row(&row.ok_or_else(not_found)?)
}

/// Reads a page of deliveries that `owner` may see (`None`: any), newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    owner: Option<Uuid>,
    order: Option<OrderId>,
    page: Page,
) -> Result<Vec<Delivery>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    let rows = match (order, owner) {
        (Some(order), owner) => {
            let sql = concat!(
                select_deliveries!(),
                " where order_id = $1 and ($2::uuid is null or member_id = $2)
                    and state <> 'REFUSED' and id < $3 limit $4"
            );
            reader.query(sql, &[&order.0, &owner, &below, &limit]).await?
        }
        (None, Some(owner)) => {
            let sql = concat!(
                select_deliveries!(),
                " where member_id = $1 and id < $2 and state <> 'REFUSED'
                  order by id desc limit $3"
            );
            reader.query(sql, &[&owner, &below, &limit]).await?
        }
        (None, None) => {
            let sql = concat!(
                select_deliveries!(),
                " where id < $1 and state <> 'REFUSED' order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
    };
    rows.iter().map(Delivery::from_row).collect()
}
