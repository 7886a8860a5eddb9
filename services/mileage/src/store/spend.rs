//! The SQL of what orders do with points. An order's row is locked after its member's
//! account.

use std::{collections::BTreeMap, mem, time::SystemTime};

use base::{Error, id::Uuid};
use eventlog::{Draft, facts};
use pg::{Cause, Tx};

use super::account::{Accounts, PER_EVENT, StoredMovement, expired};
use crate::{
    domain::{
        EntryId, MemberId, OrderId, PartId,
        account::{Kind, Movement, Spend, SpendState, Taken},
    },
    wire::{self, Happened},
};

/// An order under lock.
struct Locked {
    spend: Spend,
    /// The id of its SPEND entry.
    entry: EntryId,
    create_time: SystemTime,
}

async fn lock(
    tx: &mut Tx,
    orders: &BTreeMap<OrderId, MemberId>,
) -> Result<BTreeMap<OrderId, Locked>, Error> {
    let (orders, members): (Vec<Uuid>, Vec<Uuid>) = orders.iter().map(|(o, m)| (o.0, m.0)).unzip();
    let entries: Vec<Uuid> = orders.iter().map(|_| base::id::new()).collect();
    let make = "with made as (
           insert into mileage_spend (order_id, member_id, entry_id, state)
           select o, m, e, 'NEW' from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as learned (o, m, e)
           on conflict (order_id) do nothing
           returning order_id, entry_id, state, points, lot_ids, taken, create_time)
         select * from (
           select order_id, entry_id, state, points, lot_ids, taken, create_time
           from mileage_spend where order_id = any($1) order by order_id for update) kept
         union all select * from made";
    let again = "select order_id, entry_id, state, points, lot_ids, taken, create_time
         from mileage_spend where order_id = any($1) order by order_id for update";
    let params: (_, &[&(dyn tokio_postgres::types::ToSql + Sync)]) =
        (make, &[&orders, &members, &entries]);
    let rows = facts::lock_or_make(tx, &orders, params, again).await?;
    rows.iter()
        .map(|row| {
            let lots = row.get::<_, Vec<Uuid>>("lot_ids").into_iter();
            let taken = lots.zip(row.get::<_, Vec<i64>>("taken"));
            let spend = Spend {
                state: SpendState::named(row.get("state"))?,
                points: row.get("points"),
                taken: taken.map(|(lot, points)| Taken { lot: EntryId(lot), points }).collect(),
            };
            let (entry, create_time) = (EntryId(row.get("entry_id")), row.get("create_time"));
            Ok((OrderId(row.get("order_id")), Locked { spend, entry, create_time }))
        })
        .collect()
}

/// Spends points on an order, once. Answers its SPEND entry.
pub(crate) async fn spend(
    tx: &mut Tx,
    (order, member): (OrderId, MemberId),
    points: i64,
) -> Result<StoredMovement, Error> {
    let mut accounts = Accounts::lock(tx, [member]).await?;
    let mut orders = lock(tx, &[(order, member)].into()).await?;
    let locked = orders.remove(&order).ok_or_else(|| Error::internal("no row of the order"))?;
    if locked.spend.ask(points)? {
        let points = 0_i64.saturating_sub(points);
        let (kind, order) = (Kind::Spend, Some(order));
        let movement = Movement { kind, points, order, lot: None, expire_time: None };
        let Locked { entry: id, create_time, .. } = locked;
        return Ok(StoredMovement { id, member, movement, create_time });
    }
    accounts.load_oldest(tx, member, i128::from(points)).await?;
    let spent = accounts.change(member, |account, now| account.spend(order, points, now));
    let (taken, movements) = spent?;
    let mut entries = accounts.record(member, movements, Some(locked.entry));
    let (lots, more) = accounts.changed_lots(member);
    let entry = entries.pop().ok_or_else(|| Error::internal("nothing was spent"))?;
    let (ids, counts): (Vec<Uuid>, Vec<i64>) = taken.iter().map(|it| (it.lot.0, it.points)).unzip();
    tx.execute(
        "update mileage_spend set state = $2, points = $3, lot_ids = $4, taken = $5, create_time = $6
         where order_id = $1",
        &[&order.0, &SpendState::Spent.name(), &points, &ids, &counts, &entry.create_time],
    )
    .await?;
    accounts.save(tx).await?;
    let event = wire::event(&Happened::Spent(order, &entry), lots);
    let mut drafts = vec![Draft::of(event, order.0, 1, order.0)];
    // What was due, and nobody had met yet.
    drafts.extend(expired(member, &entries, Vec::new()));
    drafts.extend(more);
    eventlog::append(tx, &drafts).await?;
    Ok(entry)
}

/// That points of an order come back.
pub(crate) struct Returned {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) what: What,
    /// The event that said so; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// How many of them.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// All that are left: it was cancelled, or never was.
    All,
    /// So many: some of it was cancelled, or returned.
    Part(PartId, i64),
}

/// Gives back what these orders have spent, or parts of it, in this order. Answers how many points each had
/// spent.
pub(crate) async fn give_back(
    tx: &mut Tx,
    returned: &[Returned],
) -> Result<BTreeMap<OrderId, i64>, Error> {
    if returned.is_empty() {
        return Ok(BTreeMap::new());
    }
    let members = returned.iter().map(|it| (it.order, it.member)).collect();
    let mut accounts = Accounts::lock(tx, returned.iter().map(|it| it.member)).await?;
    let mut orders = lock(tx, &members).await?;
    let spent = orders.values().filter(|it| it.spend.state == SpendState::Spent);
    let lots: Vec<Uuid> = spent.flat_map(|it| &it.spend.taken).map(|taken| taken.lot.0).collect();
    accounts.load(tx, &lots).await?;
    let (mut released, mut parts, mut drafts) = (BTreeMap::new(), Vec::new(), Vec::new());
    for Returned { order, member, what, cause } in returned {
        let Some(locked) = orders.get_mut(order) else { continue };
        let (taken, aggregate, first) = match *what {
            What::All => {
                let Some(taken) = locked.spend.release() else { continue };
                let taken = taken.to_vec();
                released.insert(order.0, locked.spend.state.name());
                (taken, order.0, 2)
            }
            What::Part(part, points) => {
                let Some(taken) = take(tx, (*order, part), points, locked).await? else { continue };
                parts.push(*order);
                (taken, part.0, 1)
            }
        };
        let movements = accounts.change(*member, |it, now| it.restore(*order, &taken, now));
        let entries = accounts.record(*member, movements, None);
        let (mut lots, more) = accounts.changed_lots(*member);
        let events = (first..).zip(entries.chunks(PER_EVENT)).map(|(version, entries)| {
            let restored = Happened::Restored(*order, *member, entries);
            let event = wire::event(&restored, mem::take(&mut lots));
            Draft::of(event, aggregate, version, order.0)
        });
        drafts.extend(events.chain(more).map(|draft| draft.caused_by(cause.as_ref())));
    }
    save_taken(tx, &parts, &orders).await?;
    let (ids, states): (Vec<Uuid>, Vec<&str>) = released.into_iter().unzip();
    if !ids.is_empty() {
        tx.execute(
            "update mileage_spend s set state = n.state
             from unnest($1::uuid[], $2::text[]) as n (order_id, state)
             where s.order_id = n.order_id",
            &[&ids, &states],
        )
        .await?;
    }
    accounts.save(tx).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(orders.into_iter().map(|(order, locked)| (order, locked.spend.points)).collect())
}

/// Takes a part's points from what an order has; none when it has been carried out before.
async fn take(
    tx: &mut Tx,
    (order, part): (OrderId, PartId),
    points: i64,
    locked: &mut Locked,
) -> Result<Option<Vec<Taken>>, Error> {
    if locked.spend.state == SpendState::New {
        // It asks for its points before it is placed.
        return Err(Error::internal(format!("the order {order} has spent no points to give back")));
    }
    let sql = "select from mileage_part where id = $1";
    if tx.query_opt(sql, &[&part.0]).await?.is_some() {
        return Ok(None);
    }
    let taken = locked.spend.give_back(points);
    let points: i64 = taken.iter().map(|it| it.points).sum();
    tx.execute(
        "insert into mileage_part (id, order_id, points) values ($1, $2, $3)",
        &[&part.0, &order.0, &points],
    )
    .await?;
    Ok(Some(taken))
}

/// Saves what orders still have of their points. There is seldom more than one at a time.
async fn save_taken(
    tx: &mut Tx,
    changed: &[OrderId],
    orders: &BTreeMap<OrderId, Locked>,
) -> Result<(), Error> {
    for order in changed {
        let Some(Locked { spend, .. }) = orders.get(order) else { continue };
        let (lots, points): (Vec<Uuid>, Vec<i64>) =
            spend.taken.iter().map(|it| (it.lot.0, it.points)).unzip();
        let sql = "update mileage_spend set lot_ids = $2, taken = $3 where order_id = $1";
        tx.execute(sql, &[&order.0, &lots, &points]).await?;
    }
    Ok(())
}
