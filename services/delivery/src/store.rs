//! All the SQL of deliveries.

pub(crate) mod address;

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, error::not_found, id::Uuid, page::Page};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::{
    domain::{DeliveryId, Fact, MemberId, OrderId, Parcel, Progress, Refusal, State},
    wire,
};

/// All that makes up a delivery; its address where that is shown.
macro_rules! select_deliveries {
    () => {
        select_deliveries!("null::bytea")
    };
    (shown) => {
        select_deliveries!(
            "(select a.address from delivery_address a where a.order_id = delivery.order_id)"
        )
    };
    ($address:literal) => {
        concat!(
            "select id, order_id, member_id, state, carrier, tracking_number, dispatch_attempts,
               dispatch_time, deliver_time, version, create_time, ",
            $address,
            " as address from delivery"
        )
    };
}

/// A delivery as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) progress: Progress,
    pub(crate) create_time: SystemTime,
    pub(crate) dispatch_time: Option<SystemTime>,
    pub(crate) deliver_time: Option<SystemTime>,
    /// Where it goes, encoded; none where it is not read.
    pub(crate) address: Option<Vec<u8>>,
    /// How many events it has told.
    pub(crate) version: i64,
}

impl Delivery {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let parcel = row.get::<_, Option<String>>("carrier").zip(row.get("tracking_number"));
        let parcel = parcel.map(|(carrier, tracking_number)| Parcel { carrier, tracking_number });
        Ok(Self {
            id: DeliveryId(row.get("id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            progress: Progress {
                state: State::named(row.get("state"))?,
                parcel,
                dispatch_attempts: row.get("dispatch_attempts"),
            },
            create_time: row.get("create_time"),
            dispatch_time: row.get("dispatch_time"),
            deliver_time: row.get("deliver_time"),
            address: row.get("address"),
            version: row.get("version"),
        })
    }

    /// The parcel has arrived, at this time, unless it has before.
    pub(crate) fn deliver(&mut self, at: SystemTime) -> Result<(), Refusal> {
        if self.progress.deliver(self.deliver_time.is_some())? {
            self.deliver_time = Some(at);
        }
        Ok(())
    }

    /// The event of its new state.
    fn draft(&self) -> Option<Draft> {
        Some(Draft::of(wire::event(self)?, self.id.0, self.version, self.order.0))
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
               returning id, order_id, member_id, state, carrier, tracking_number,
                 dispatch_attempts, dispatch_time, deliver_time, version, create_time,
                 null::bytea as address)
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
        if !self.progress.learn(known.fact) {
            return None;
        }
        self.version += 1;
        Some(self.draft().into_iter().collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        fn column<T>(changed: &[&Delivery], of: impl Fn(&Delivery) -> T) -> Vec<T> {
            changed.iter().map(|delivery| of(delivery)).collect()
        }
        let parcels = column(changed, |it| it.progress.parcel.clone());
        let carriers: Vec<_> =
            parcels.iter().map(|it| it.as_ref().map(|parcel| &*parcel.carrier)).collect();
        let numbers: Vec<_> =
            parcels.iter().map(|it| it.as_ref().map(|parcel| &*parcel.tracking_number)).collect();
        tx.execute(
            "update delivery set state = n.state, carrier = n.carrier,
               tracking_number = n.tracking_number, dispatch_attempts = n.dispatch_attempts,
               dispatch_time = n.dispatch_time, deliver_time = n.deliver_time, version = n.version
             from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::int[],
               $6::timestamptz[], $7::timestamptz[], $8::bigint[])
               as n(order_id, state, carrier, tracking_number, dispatch_attempts, dispatch_time,
                 deliver_time, version)
             where delivery.order_id = n.order_id",
            &[
                &column(changed, |it| it.order.0),
                &column(changed, |it| it.progress.state.name()),
                &carriers,
                &numbers,
                &column(changed, |it| it.progress.dispatch_attempts),
                &column(changed, |it| it.dispatch_time),
                &column(changed, |it| it.deliver_time),
                &column(changed, |it| it.version),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Changes one delivery, and tells others when its state is another by that. What `change` answers is
/// answered.
pub(crate) async fn update<T>(
    tx: &mut Tx,
    id: DeliveryId,
    change: impl FnOnce(&mut Delivery) -> Result<T, Error>,
) -> Result<(T, Delivery), Error> {
    let sql = concat!(
        select_deliveries!(shown),
        " where id = $1 and state <> 'REFUSED' for update of delivery"
    );
    let row = tx.query_opt(sql, &[&id.0]).await?;
    let mut delivery = Delivery::from_row(&row.ok_or_else(not_found)?)?;
    let answer = save_change(tx, &mut delivery, change).await?;
    Ok((answer, delivery))
}

async fn save_change<T>(
    tx: &mut Tx,
    delivery: &mut Delivery,
    change: impl FnOnce(&mut Delivery) -> Result<T, Error>,
) -> Result<T, Error> {
    let before = delivery.progress.clone();
    let answer = change(delivery)?;
    let moved = delivery.progress.state != before.state;
    if moved {
        delivery.version += 1;
    }
    if delivery.progress != before {
        Delivery::save(tx, &[delivery]).await?;
    }
    if moved {
        eventlog::append(tx, delivery.draft().as_slice()).await?;
    }
    Ok(answer)
}

/// A parcel has arrived: all deliveries that are in it have, but for those that have ended. `time` is when,
/// if that is known; it is not after this.
pub(crate) async fn arrived(
    tx: &mut Tx,
    parcel: &Parcel,
    time: Option<SystemTime>,
) -> Result<(), Error> {
    let sql = concat!(
        select_deliveries!(),
        " where tracking_number = $1 and carrier = $2 and state <> 'STARTED'
          order by order_id for update of delivery"
    );
    let rows = tx.query(sql, &[&parcel.tracking_number, &parcel.carrier]).await?;
    if rows.is_empty() {
        return Err(Refusal::UnknownParcel.into());
    }
    let now = pg::clock::now(tx).await?;
    let at = time.map_or(now, |time| time.min(now));
    for row in &rows {
        let mut delivery = Delivery::from_row(row)?;
        if delivery.progress.state == State::Dispatched {
            save_change(tx, &mut delivery, |delivery| Ok(delivery.deliver(at)?)).await?;
        }
    }
    Ok(())
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
                select_deliveries!(shown),
                " where id = $1 and state <> 'REFUSED' and ($2::uuid is null or member_id = $2)"
            ),
            &[&id.0, &owner],
        )
        .await?;
    Delivery::from_row(&row.ok_or_else(not_found)?)
}

/// Which deliveries are asked for.
pub(crate) struct Filter {
    /// Whose may be seen; none: everyone's.
    pub(crate) owner: Option<Uuid>,
    pub(crate) order: Option<OrderId>,
    pub(crate) state: Option<&'static str>,
}

/// Reads a page of deliveries, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    Filter { owner, order, state }: Filter,
    page: Page,
) -> Result<Vec<Delivery>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (order, owner, state) {
        (Some(order), owner, state) => {
            let sql = concat!(
                select_deliveries!(shown),
                " where order_id = $1 and ($2::uuid is null or member_id = $2)
                    and ($3::text is null or state = $3) and state <> 'REFUSED' and id < $4 limit $5"
            );
            reader.query(sql, &[&order.0, &owner, &state, &below, &limit]).await?
        }
        (None, Some(owner), state) => {
            // Among the member's, never among all of that state.
            let sql = concat!(
                select_deliveries!(shown),
                " where member_id = $1 and id < $2 and state <> 'REFUSED'
                    and ($3::text is null or state || '' = $3)
                  order by id desc limit $4"
            );
            reader.query(sql, &[&owner, &below, &state, &limit]).await?
        }
        (None, None, Some(state)) => {
            let sql = concat!(
                select_deliveries!(shown),
                " where state = $1 and id < $2 order by id desc limit $3"
            );
            reader.query(sql, &[&state, &below, &limit]).await?
        }
        (None, None, None) => {
            let sql = concat!(
                select_deliveries!(shown),
                " where id < $1 and state <> 'REFUSED' order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
    };
    rows.iter().map(Delivery::from_row).collect()
}
