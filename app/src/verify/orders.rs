//! Each order and what others did for it, put together from all who know of it:
//! eight lists, each sorted by order, read side by side. What must hold of one is
//! in [`whole`].

mod page;
mod whole;

use std::time::Duration;

use anyhow::Result;
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) use self::whole::{POINTS, RULES, TOLD};
use self::{
    page::Page,
    whole::{Allocation, Delivery, Entry, Order, Payment, Shown, Whole},
};
use super::{
    findings::Suspicions,
    scope::Scope,
    sources::{Sorted, Sources},
};
use crate::console::note;

/// How often to say how far it has come.
const SAY: Duration = Duration::from_secs(5);

const ORDERS: &str = "
    select o.id, o.member_id, o.state, o.told,
      o.total_minor - o.coupon_discount_minor - o.points, o.payment_id,
      coalesce(o.cancel_reason, '') as cancel_reason, o.product_ids,
      (select array_agg(l.bought - coalesce(l.cancelled, 0) - coalesce(l.returned, 0) order by l.place)
        from unnest(o.quantities, o.cancelled_quantities, o.returned_quantities) with ordinality
          as l (bought, cancelled, returned, place)) as kept,
      o.event_version,
      coalesce(string_agg(e.type, ',' order by e.aggregate_version), '') as log,
      coalesce(max(e.aggregate_version), 0) as last_version, o.dispatched
    from orders o left join event e on e.aggregate_id = o.id
    where $1::uuid[] is null or o.id = any($1)
    group by o.id order by o.id";

/// `asked`: with what was not waited for any more, of lines that were cancelled.
const PAYMENTS: &str = "
    select p.order_id, p.id, p.member_id, p.method, p.state,
      p.amount_minor + p.wallet_minor as left,
      p.amount_minor + p.wallet_minor + p.refunded_minor + p.wallet_refunded_minor as paid,
      p.amount_minor + p.wallet_minor + coalesce((select sum(amount_minor + wallet_minor)
        from payment_part s where s.order_id = p.order_id), 0)::bigint as asked,
      p.amount_minor + p.refunded_minor as by_method,
      (select count(*) from payment_part s where s.order_id = p.order_id and not s.unpaid) as parts,
      (select count(*) from payment_part s where s.order_id = p.order_id and s.unpaid) as reduced,
      coalesce(string_agg(e.type, ',' order by e.aggregate_version), '') as log
    from payment p left join event e on e.aggregate_id = p.id
    where $1::uuid[] is null or p.order_id = any($1)
    group by p.order_id order by p.order_id";

const ALLOCATIONS: &str = "
    select order_id, member_id, state, product_ids, quantities from allocation
    where $1::uuid[] is null or order_id = any($1) order by order_id";

const DELIVERIES: &str = "
    select order_id, member_id, state from delivery
    where $1::uuid[] is null or order_id = any($1) order by order_id";

const MILEAGE: &str = "
    select order_id, id, payment_id, member_id, points, state, taken_back from mileage_entry
    where $1::uuid[] is null or payment_id = any($1) order by order_id";

const MARKETING: &str = "
    select subject_id from notification
    where audience = 'MARKETING' and ($1::uuid[] is null or subject_id = any($1))
    order by subject_id";

const PAGES: &str = "
    select v.order_id, v.member_id, v.state, v.cancel_reason, v.payment_state, v.delivery_state,
      coalesce(string_agg(m.state, ',' order by m.version), '') as passed
    from order_view v left join milestone m using (order_id)
    where v.state is not null and ($1::uuid[] is null or v.order_id = any($1))
    group by v.order_id order by v.order_id";

const POINTS_SHOWN: &str = "
    select order_id, entry_id, payment_id, member_id, points, cancelled from mileage_view
    where $1::uuid[] is null or entry_id = any($1) order by order_id";

/// What others know of orders, list by list.
struct Lists {
    orders: Sorted,
    payments: Sorted,
    allocations: Sorted,
    deliveries: Sorted,
    mileage: Sorted,
    marketing: Sorted,
    pages: Sorted,
    points: Sorted,
}

impl Lists {
    async fn open(sources: &Sources, scope: &Scope) -> Result<Self> {
        let list = async |service, sql| sources.sorted(service, sql, scope.ids()).await;
        // All at once: the first rows of some come when all have been sorted.
        let (orders, payments, allocations, deliveries, mileage, marketing, pages, points) = tokio::try_join!(
            list("order", ORDERS),
            list("payment", PAYMENTS),
            list("product", ALLOCATIONS),
            list("delivery", DELIVERIES),
            list("mileage", MILEAGE),
            list("notification", MARKETING),
            list("mypage", PAGES),
            list("mypage", POINTS_SHOWN),
        )?;
        Ok(Self { orders, payments, allocations, deliveries, mileage, marketing, pages, points })
    }

    /// The next order that anyone knows of.
    fn next(&self) -> Option<Uuid> {
        let Self { orders, payments, allocations, deliveries, mileage, marketing, pages, points } =
            self;
        let lists = [orders, payments, allocations, deliveries, mileage, marketing, pages, points];
        lists.into_iter().filter_map(Sorted::id).min()
    }

    async fn take(&mut self, id: Uuid) -> Result<Whole> {
        let mut whole = Whole { id, ..Whole::default() };
        while let Some(row) = self.orders.take(id).await? {
            whole.order = Some(order(&row));
        }
        while let Some(row) = self.payments.take(id).await? {
            whole.payments.push(payment(&row));
        }
        while let Some(row) = self.allocations.take(id).await? {
            let (products, quantities) = (row.get(3), row.get(4));
            let (member, state) = (row.get(1), row.get(2));
            whole.allocations.push(Allocation { member, state, products, quantities });
        }
        while let Some(row) = self.deliveries.take(id).await? {
            whole.deliveries.push(Delivery { member: row.get(1), state: row.get(2) });
        }
        while let Some(row) = self.mileage.take(id).await? {
            whole.mileage.push(entry(&row));
        }
        while self.marketing.take(id).await?.is_some() {
            whole.marketing += 1;
        }
        while let Some(row) = self.pages.take(id).await? {
            whole.page = Some(page(&row));
        }
        while let Some(row) = self.points.take(id).await? {
            whole.points.push(shown(&row));
        }
        Ok(whole)
    }
}

/// Looks at orders. `rates`: points per won in basis points, now and before.
pub(super) async fn check(
    sources: &Sources,
    scope: &Scope,
    rates: &[u32],
    found: &mut Suspicions,
) -> Result<()> {
    let mut lists = Box::pin(Lists::open(sources, scope)).await?;
    let (mut count, mut said) = (0_u64, Instant::now());
    while let Some(id) = lists.next() {
        lists.take(id).await?.check(rates, found);
        count += 1;
        if count.is_multiple_of(1_000) && said.elapsed() >= SAY {
            said = Instant::now();
            note(format_args!("{count} orders compared so far"));
        }
    }
    Ok(())
}

fn order(row: &Row) -> Order {
    Order {
        member: row.get(1),
        state: row.get(2),
        told: row.get(3),
        total: row.get(4),
        payment: row.get(5),
        cancel_reason: row.get(6),
        products: row.get(7),
        quantities: row.get(8),
        event_version: row.get(9),
        log: row.get(10),
        last_version: row.get(11),
        dispatched: row.get(12),
    }
}

fn payment(row: &Row) -> Payment {
    Payment {
        id: row.get(1),
        member: row.get(2),
        method: row.get(3),
        state: row.get(4),
        left: row.get(5),
        paid: row.get(6),
        amount: row.get(7),
        by_method: row.get(8),
        parts: row.get(9),
        reduced: row.get(10),
        log: row.get(11),
    }
}

fn entry(row: &Row) -> Entry {
    Entry {
        id: row.get(1),
        payment: row.get(2),
        member: row.get(3),
        points: row.get(4),
        state: row.get(5),
        taken_back: row.get(6),
    }
}

fn page(row: &Row) -> Page {
    Page {
        member: row.get(1),
        state: row.get(2),
        cancel_reason: row.get(3),
        payment: row.get(4),
        delivery: row.get(5),
        passed: row.get(6),
    }
}

fn shown(row: &Row) -> Shown {
    Shown {
        entry: row.get(1),
        payment: row.get(2),
        member: row.get(3),
        points: row.get(4),
        cancelled: row.get(5),
    }
}
