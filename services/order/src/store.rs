//! All the SQL of orders.

mod catalogue;
pub(crate) mod parts;

use std::{collections::BTreeMap, time::SystemTime};

use base::{Error, Money, error::not_found, id::Uuid, page::Page};
use contracts::order::v1::order_event::Event;
use eventlog::{
    Draft,
    facts::{Aggregate, Learned},
};

use pg::{Reader, Tx};
use tokio_postgres::Row;

pub(crate) use self::catalogue::{Offer, keep_offers, offers};
use crate::{
    domain::{
        ByShop, CancelReason, CloseReason, Fact, Facts, Line, MemberId, Method, Milestones, Order,
        OrderId, Pending, ProductId, State, Wish,
        checkout::{Checkout, Share},
    },
    metrics, wire,
};

/// All that makes up an order.
macro_rules! select_orders {
    () => {
        "select id, member_id, method, total_minor, coupon_id, coupon_discount_minor, points, wallet_minor,
           coupon_shares, points_shares, wallet_shares, product_ids, display_names, quantities,
           unit_prices_minor, pending, place_attempts, deposit_requested, paid, stock_decreased, delivery_started,
           dispatched, delivered, receipt_confirmed, close_reason, cancel_attempts, cancel_reason, cancel_actor, cancel_note,
           refund_account, payment_id, told, version, event_version, create_time,
           cancelled_quantities, returned_quantities, open_quantities, part_id, part_attempts, arrived_at,
           (select clock_now()) as now
         from orders"
    };
}

/// An order as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) order: Order,
    pub(crate) version: i64,
    event_version: i64,
    pub(crate) create_time: SystemTime,
    /// What time it was when it was read, by the service's clock.
    pub(crate) now: SystemTime,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let cancel_reason: Option<&str> = row.get("cancel_reason");
        let cancelled = cancel_reason.map(CancelReason::named).transpose()?;
        let pending: Option<&str> = row.get("pending");
        let facts = Facts {
            pending: pending.map(Pending::named).transpose()?,
            place_attempts: row.get("place_attempts"),
            deposit_requested: row.get("deposit_requested"),
            paid: row.get("paid"),
            stock_decreased: row.get("stock_decreased"),
            delivery_started: row.get("delivery_started"),
            dispatched: row.get("dispatched"),
            delivered: row.get("delivered"),
            closed: closed(row)?,
            cancel_attempts: row.get("cancel_attempts"),
            cancelled,
        };
        let order = Order {
            id: OrderId(row.get("id")),
            member: MemberId(row.get("member_id")),
            method: Method::named(row.get("method"))?,
            lines: lines(row),
            total: Money::krw(row.get("total_minor")),
            checkout: checkout(row),
            payment: row.get("payment_id"),
            facts,
            wish: wish(row),
            told: wire::stored_told(row.get("told"), cancelled)?,
            parts: parts::of_order(row),
        };
        Ok(Self {
            order,
            version: row.get("version"),
            event_version: row.get("event_version"),
            create_time: row.get("create_time"),
            now: row.get("now"),
        })
    }

    /// These events and those of these milestones, numbered on; milestones are counted with them.
    fn drafts(&mut self, tx: &mut Tx, events: Vec<Event>, milestones: &Milestones) -> Vec<Draft> {
        let Order { facts, parts, .. } = &mut self.order;
        if facts.delivered || facts.closed.is_some() {
            parts.arrived.get_or_insert(self.now);
        }
        for state in milestones.iter().copied() {
            let (order, created) = (self.order.clone(), self.create_time);
            tx.once_committed(move || metrics::reached(&order, state, created));
        }
        let passed = milestones.iter().filter_map(|milestone| wire::event(&self.order, *milestone));
        let events: Vec<Event> = events.into_iter().chain(passed).collect();
        let id = self.order.id.0;
        let number = |event| {
            self.event_version += 1;
            Draft::of(event, id, self.event_version, id)
        };
        events.into_iter().map(number).collect()
    }
}

/// Why it was closed. Before orders closed by themselves, only members closed them.
fn closed(row: &Row) -> Result<Option<CloseReason>, Error> {
    let reason = row.get::<_, Option<&str>>("close_reason").map(CloseReason::named).transpose()?;
    let confirmed = row.get("receipt_confirmed");
    Ok(reason.or(if confirmed { Some(CloseReason::MemberConfirmed) } else { None }))
}

fn wish(row: &Row) -> Wish {
    let by_shop = row
        .get::<_, Option<Uuid>>("cancel_actor")
        .map(|actor| ByShop { actor, note: row.get("cancel_note") });
    Wish { by_shop, refund_account: row.get("refund_account") }
}

fn checkout(row: &Row) -> Checkout {
    let shares = |column| row.get::<_, Option<Vec<i64>>>(column).unwrap_or_default();
    let columns = shares("coupon_shares").into_iter().zip(shares("points_shares"));
    let shares = columns.zip(shares("wallet_shares"));
    Checkout {
        coupon: row.get("coupon_id"),
        discount: row.get("coupon_discount_minor"),
        points: row.get("points"),
        wallet: row.get("wallet_minor"),
        shares: shares.map(|((coupon, points), wallet)| Share { coupon, points, wallet }).collect(),
    }
}

fn lines(row: &Row) -> Vec<Line> {
    let products: Vec<Uuid> = row.get("product_ids");
    let names: Vec<String> = row.get("display_names");
    let quantities: Vec<i32> = row.get("quantities");
    let prices: Vec<i64> = row.get("unit_prices_minor");
    let columns = products.into_iter().zip(names).zip(quantities).zip(prices);
    columns
        .map(|(((product, display_name), quantity), price)| Line {
            product: ProductId(product),
            display_name,
            quantity,
            unit_price: Money::krw(price),
        })
        .collect()
}

/// Stores a new order; tells others that it was placed, unless it is PENDING. One that is there
/// already stays as it is.
pub(crate) async fn insert(tx: &mut Tx, order: Order) -> Result<Stored, Error> {
    let (currency, minor) = order.total.to_wire();
    let products: Vec<Uuid> = order.lines.iter().map(|line| line.product.0).collect();
    let names: Vec<&str> = order.lines.iter().map(|line| line.display_name.as_str()).collect();
    let quantities: Vec<i32> = order.lines.iter().map(|line| line.quantity).collect();
    let prices: Vec<i64> = order.lines.iter().map(|line| line.unit_price.minor()).collect();
    let state = wire::state_name(order.state());
    let event_version = i64::from(order.state() == State::Placed);
    let row = tx
        .query_opt(
            "insert into orders (id, member_id, method, total_minor, currency, product_ids,
               display_names, quantities, unit_prices_minor, pending, state, told, version,
               event_version)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1, $12)
             on conflict (id) do nothing returning create_time, clock_now()",
            &[
                &order.id.0,
                &order.member.0,
                &order.method.name(),
                &minor,
                &currency,
                &products,
                &names,
                &quantities,
                &prices,
                &order.facts.pending.map(Pending::name),
                &state,
                &event_version,
            ],
        )
        .await?;
    let Some(row) = row else {
        let ((), stored) = update(tx, order.id, None, |_, _| Ok(((), Vec::new()))).await?;
        return Ok(stored);
    };
    let (create_time, now) = (row.get(0), row.get(1));
    let mut stored = Stored { order, version: 1, event_version: 0, create_time, now };
    if stored.order.checkout != Checkout::default() {
        save_checkout(tx, &stored.order).await?;
    }
    if event_version == 1 {
        let drafts = stored.drafts(tx, Vec::new(), &vec![State::Placed]);
        eventlog::append(tx, &drafts).await?;
    }
    Ok(stored)
}

/// Removes an order that was never placed.
pub(crate) async fn remove_pending(tx: &mut Tx, id: OrderId) -> Result<(), Error> {
    tx.execute("delete from orders where id = $1 and pending is not null", &[&id.0]).await?;
    Ok(())
}

/// Reads an order that is ABORTING; none when it is placed, or gone.
pub(crate) async fn aborting(reader: &mut Reader, id: OrderId) -> Result<Option<Order>, Error> {
    let sql = concat!(select_orders!(), " where id = $1 and pending = 'ABORTING'");
    let row = reader.query_opt(sql, &[&id.0]).await?;
    row.map(|row| Ok(Stored::from_row(&row)?.order)).transpose()
}

/// Whether an order that a member has given up still gives back what was reserved for it.
pub(crate) async fn gives_back(tx: &mut Tx, member: MemberId) -> Result<bool, Error> {
    let sql = "select from orders where member_id = $1 and state not in ('CLOSED', 'CANCELLED')
           and pending = 'ABORTING' limit 1";
    Ok(tx.query_opt(sql, &[&member.0]).await?.is_some())
}

/// Changes one order that `owner` may touch (`None`: any), and saves it with its milestones.
/// What `change` answers beside them is answered.
pub(crate) async fn update<T>(
    tx: &mut Tx,
    id: OrderId,
    owner: Option<Uuid>,
    change: impl FnOnce(&Stored, &mut Order) -> Result<(T, Milestones), Error>,
) -> Result<(T, Stored), Error> {
    let change = |stored: &Stored, order: &mut Order| {
        change(stored, order).map(|(answer, milestones)| (answer, Vec::new(), milestones))
    };
    update_telling(tx, id, owner, change).await
}

/// The same, where more is told than milestones: events that come before them.
pub(crate) async fn update_telling<T>(
    tx: &mut Tx,
    id: OrderId,
    owner: Option<Uuid>,
    change: impl FnOnce(&Stored, &mut Order) -> Result<(T, Vec<Event>, Milestones), Error>,
) -> Result<(T, Stored), Error> {
    let row = tx
        .query_opt(
            concat!(
                select_orders!(),
                " where id = $1 and ($2::uuid is null or member_id = $2) for update"
            ),
            &[&id.0, &owner],
        )
        .await?;
    let mut stored = Stored::from_row(&row.ok_or_else(not_found)?)?;
    let mut order = stored.order.clone();
    let (answer, events, milestones) = change(&stored, &mut order)?;
    let was = &stored.order;
    let (facts, payment) = (order.facts != was.facts, order.payment != was.payment);
    let parts = order.parts != was.parts;
    if order.wish != stored.order.wish {
        save_wish(tx, &order).await?;
    }
    if order.checkout != stored.order.checkout {
        save_checkout(tx, &order).await?;
    }
    if parts {
        parts::save_taken(tx, &order).await?;
    }
    stored.order = order;
    if facts || payment || parts || !events.is_empty() {
        stored.version += 1;
        let drafts = stored.drafts(tx, events, &milestones);
        Stored::save(tx, &[&stored]).await?;
        eventlog::append(tx, &drafts).await?;
    }
    Ok((answer, stored))
}

async fn save_wish(tx: &mut Tx, order: &Order) -> Result<(), Error> {
    let Wish { by_shop, refund_account } = &order.wish;
    let actor = by_shop.as_ref().map(|shop| shop.actor);
    let note = by_shop.as_ref().map_or("", |shop| shop.note.as_str());
    tx.execute(
        "update orders set cancel_actor = $2, cancel_note = $3, refund_account = $4 where id = $1",
        &[&order.id.0, &actor, &note, &refund_account],
    )
    .await?;
    Ok(())
}

async fn save_checkout(tx: &mut Tx, order: &Order) -> Result<(), Error> {
    let Checkout { coupon, discount, points, wallet, shares } = &order.checkout;
    let column = |of: fn(&Share) -> i64| {
        (!shares.is_empty()).then(|| shares.iter().map(of).collect::<Vec<_>>())
    };
    tx.execute(
        "update orders set coupon_id = $2, coupon_discount_minor = $3, points = $4, wallet_minor = $5,
           coupon_shares = $6, points_shares = $7, wallet_shares = $8
         where id = $1",
        &[
            &order.id.0,
            coupon,
            discount,
            points,
            wallet,
            &column(|share| share.coupon),
            &column(|share| share.points),
            &column(|share| share.wallet),
        ],
    )
    .await?;
    Ok(())
}

/// How many orders are in each state that is not the last; those beyond `most` are not counted.
pub(crate) async fn in_progress(
    reader: &mut Reader,
    most: i64,
) -> Result<Vec<(&'static str, i64)>, Error> {
    let states = wire::IN_PROGRESS.map(wire::state_name);
    let rows = reader
        .query(
            "select s.state, (select count(*) from (
               select from orders o where o.state = s.state limit $2) as counted)
             from unnest($1::text[]) with ordinality as s (state, place) order by s.place",
            &[&states.as_slice(), &most],
        )
        .await?;
    Ok(states.into_iter().zip(rows.iter().map(|row| row.get(1))).collect())
}

impl Aggregate for Stored {
    type Key = OrderId;
    type Fact = Fact;

    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<OrderId, Self>, Error> {
        let ids: Vec<Uuid> = facts.iter().map(|learned| learned.key.0).collect();
        let rows = tx
            .query(concat!(select_orders!(), " where id = any($1) order by id for update"), &[&ids])
            .await?;
        rows.iter().map(|row| Self::from_row(row).map(|stored| (stored.order.id, stored))).collect()
    }

    fn learn(&mut self, tx: &mut Tx, fact: &Fact) -> Option<Vec<Draft>> {
        let milestones = self.order.learn(*fact);
        self.version += 1;
        Some(self.drafts(tx, Vec::new(), &milestones))
    }

    async fn save(tx: &mut Tx, orders: &[&Self]) -> Result<(), Error> {
        fn column<T>(orders: &[&Stored], of: impl Fn(&Stored) -> T) -> Vec<T> {
            orders.iter().map(|stored| of(stored)).collect()
        }
        fn facts(orders: &[&Stored], of: fn(&Facts) -> bool) -> Vec<bool> {
            column(orders, |stored| of(&stored.order.facts))
        }
        tx.execute(
            "update orders set pending = n.pending, place_attempts = n.place_attempts,
               deposit_requested = n.deposit_requested, paid = n.paid,
               stock_decreased = n.stock_decreased, delivery_started = n.delivery_started,
               dispatched = n.dispatched, delivered = n.delivered,
               receipt_confirmed = n.close_reason is not null, close_reason = n.close_reason,
               cancel_attempts = n.cancel_attempts,
               cancel_reason = n.cancel_reason, payment_id = n.payment_id, state = n.state,
               told = n.told, version = n.version, event_version = n.event_version,
               arrived_at = n.arrived_at
             from unnest($1::uuid[], $2::bool[], $3::bool[], $4::bool[], $5::bool[], $6::text[],
               $7::int[], $8::text[], $9::uuid[], $10::text[], $11::text[], $12::bigint[],
               $13::bigint[], $14::text[], $15::int[], $16::bool[], $17::bool[], $18::timestamptz[])
               as n(id, deposit_requested, paid, stock_decreased, delivery_started,
                 close_reason, cancel_attempts, cancel_reason, payment_id, state, told, version,
                 event_version, pending, place_attempts, dispatched, delivered, arrived_at)
             where orders.id = n.id",
            &[
                &column(orders, |s| s.order.id.0),
                &facts(orders, |f| f.deposit_requested),
                &facts(orders, |f| f.paid),
                &facts(orders, |f| f.stock_decreased),
                &facts(orders, |f| f.delivery_started),
                &column(orders, |s| s.order.facts.closed.map(CloseReason::name)),
                &column(orders, |s| s.order.facts.cancel_attempts),
                &column(orders, |s| s.order.facts.cancelled.map(CancelReason::name)),
                &column(orders, |s| s.order.payment),
                &column(orders, |s| wire::state_name(s.order.state())),
                &column(orders, |s| wire::state_name(s.order.told)),
                &column(orders, |s| s.version),
                &column(orders, |s| s.event_version),
                &column(orders, |s| s.order.facts.pending.map(Pending::name)),
                &column(orders, |s| s.order.facts.place_attempts),
                &facts(orders, |f| f.dispatched),
                &facts(orders, |f| f.delivered),
                &column(orders, |s| s.order.parts.arrived),
            ],
        )
        .await?;
        parts::void(tx, orders).await
    }

    /// Others may speak of orders that were never placed here: a restored backup's, say.
    fn ignored(order: OrderId) {
        tracing::warn!(%order, "event about an unknown order ignored");
    }
}

/// Reads one order that `owner` may see (`None`: any).
pub(crate) async fn get(
    reader: &mut Reader,
    id: OrderId,
    owner: Option<Uuid>,
) -> Result<Stored, Error> {
    let row = reader
        .query_opt(
            concat!(
                select_orders!(),
                " where id = $1 and ($2::uuid is null or member_id = $2) and pending is null"
            ),
            &[&id.0, &owner],
        )
        .await?;
    Stored::from_row(&row.ok_or_else(not_found)?)
}

/// Whether a member has an order that is neither CLOSED nor CANCELLED.
pub(crate) async fn has_open(reader: &mut Reader, member: MemberId) -> Result<bool, Error> {
    let sql = "select from orders
         where member_id = $1 and state not in ('CLOSED', 'CANCELLED') limit 1";
    Ok(reader.query_opt(sql, &[&member.0]).await?.is_some())
}

/// Reads a page of orders that `owner` may see (`None`: any), newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    owner: Option<Uuid>,
    state: Option<&str>,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (owner, state) {
        (None, None) => {
            let sql = concat!(
                select_orders!(),
                " where id < $1 and pending is null order by id desc limit $2"
            );
            reader.query(sql, &[&below, &limit]).await?
        }
        (Some(owner), None) => {
            let sql = concat!(
                select_orders!(),
                " where member_id = $1 and id < $2 and pending is null order by id desc limit $3"
            );
            reader.query(sql, &[&owner, &below, &limit]).await?
        }
        (None, Some(state)) => {
            let sql = concat!(
                select_orders!(),
                " where state = $1 and id < $2 and pending is null order by id desc limit $3"
            );
            reader.query(sql, &[&state, &below, &limit]).await?
        }
        (Some(owner), Some(state)) => {
            // Among the member's, never among all of that state.
            let sql = concat!(
                select_orders!(),
                " where member_id = $1 and state || '' = $2 and id < $3 and pending is null
                  order by id desc limit $4"
            );
            reader.query(sql, &[&owner, &state, &below, &limit]).await?
        }
    };
    rows.iter().map(Stored::from_row).collect()
}

/// Notes members who withdrew.
pub(crate) async fn withdraw_members(tx: &mut Tx, members: &[Uuid]) -> Result<(), Error> {
    tx.execute(
        "insert into withdrawn_member (member_id) select distinct unnest($1::uuid[])
         on conflict do nothing",
        &[&members],
    )
    .await?;
    Ok(())
}

/// True when the member has withdrawn.
pub(crate) async fn has_withdrawn(reader: &mut Reader, member: MemberId) -> Result<bool, Error> {
    let row = reader
        .query_opt("select 1 from withdrawn_member where member_id = $1", &[&member.0])
        .await?;
    Ok(row.is_some())
}
