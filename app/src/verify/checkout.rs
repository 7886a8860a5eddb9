//! What orders are paid with besides money: a coupon is one order's at most, and no
//! cancelled order keeps a coupon or points; a member's points are what changed them,
//! and My Page shows all of that.

use anyhow::Result;
use uuid::Uuid;

use super::{
    findings::{About, Rule, Suspicions},
    orders,
    scope::Scope,
    sources::{Sorted, Sources},
};

pub(super) const RULES: &[Rule] = &[REDEEMED, KEPT, LOTS, RETURNED];

const REDEEMED: Rule = "each coupon that is REDEEMED belongs to one order, which says so";
const KEPT: Rule = "no order has a coupon or has spent points that is cancelled, or unknown";
const LOTS: Rule =
    "each member's points are the sum of their entries, and what their lots have left";

const RETURNED: Rule = "what came back of an order's points, and was taken back of a payment's, is what the entries say";

const REDEMPTIONS: &str = "
    select 'order ' || coalesce(c.order_id, r.order_id) || ' has the coupon '
      || coalesce(c.id, r.coupon_id) || ', ' || case when c.id is null then 'which is not its own'
        else 'and has not redeemed it' end
    from (select id, order_id from member_coupon
      where state = 'REDEEMED' and ($1::uuid[] is null or member_id = any($1))) c
    full join (select order_id, coupon_id from redemption
      where state = 'REDEEMED' and ($1::uuid[] is null or member_id = any($1))) r
      on r.order_id = c.order_id and r.coupon_id = c.id
    where c.id is null or r.order_id is null
    order by 1";

const BALANCES: &str = "
    select 'member ' || member_id || ' has entries of ' || coalesce(e.sum, 0) || ', lots of '
      || coalesce(l.sum, 0) || ' and a debt of ' || coalesce(a.debt, 0)
    from (select member_id, sum(points) as sum from (
        select member_id, points from mileage_entry
        where $1::uuid[] is null or member_id = any($1)
        union all select member_id, points from mileage_movement
        where $1::uuid[] is null or member_id = any($1)) entries
      group by member_id) e
    full join (select member_id, sum(remaining) as sum from mileage_lot
      where $1::uuid[] is null or member_id = any($1) group by member_id) l using (member_id)
    full join (select member_id, debt from mileage_account
      where $1::uuid[] is null or member_id = any($1)) a using (member_id)
    where coalesce(e.sum, 0) <> coalesce(l.sum, 0) - coalesce(a.debt, 0)
      or (a.debt > 0 and l.sum > 0)
    order by member_id";

/// What an order has spent is what it still has and what came back in parts; all of it came back when it ended.
const SPENDS: &str = "
    select 'order ' || s.order_id || ' is ' || s.state || ' with ' || s.points || ', of which it has '
      || k.kept || '; parts gave back ' || p.back || ', the entries have ' || coalesce(m.spent, 0)
      || ' spent and ' || coalesce(m.restored, 0) || ' restored'
    from mileage_spend s
    left join (
      select order_id, -sum(points) filter (where kind = 'SPEND') as spent,
        sum(points) filter (where kind = 'RESTORE') as restored
      from mileage_movement
      where order_id is not null and ($1::uuid[] is null or member_id = any($1))
      group by order_id) m using (order_id),
    lateral (select coalesce(sum(kept), 0) as kept from unnest(s.taken) as kept) k,
    lateral (select coalesce(sum(points), 0) as back from mileage_part
      where order_id = s.order_id) p
    where s.state in ('SPENT', 'RELEASED') and ($1::uuid[] is null or s.member_id = any($1))
      and (s.points <> k.kept + p.back or s.points <> coalesce(m.spent, 0)
        or coalesce(m.restored, 0) <> case s.state when 'RELEASED' then s.points else p.back end)
    order by s.order_id";

/// Of a payment of which parts went back: what has expired of its points need not be taken back.
const REVOKED: &str = "
    select 'entry ' || e.id || ' of ' || e.points || ' is worth ' || e.taken_back || ' less, its lot has '
      || l.revoked || ' taken back and ' || l.expired || ' expired, the entries have '
      || coalesce(r.revoked, 0)
    from mileage_entry e join mileage_lot l on l.entry_id = e.id
    left join (
      select entry_id, -sum(points) as revoked from mileage_movement
      where kind = 'REVOKE' and ($1::uuid[] is null or member_id = any($1))
      group by entry_id) r on r.entry_id = e.id
    where e.state = 'EARNED' and ($1::uuid[] is null or e.member_id = any($1))
      and (l.revoked <> coalesce(r.revoked, 0) or l.revoked + l.expired < e.taken_back
        or (e.taken_back > 0 and l.revoked > e.taken_back))
    order by e.id";

const ORDERS: &str = "
    select id, state from orders where $1::uuid[] is null or id = any($1) order by id";

const COUPONS: &str = "
    select order_id from redemption
    where state = 'REDEEMED' and ($1::uuid[] is null or order_id = any($1)) order by order_id";

const SPENT: &str = "
    select order_id from mileage_spend
    where state = 'SPENT' and ($1::uuid[] is null or order_id = any($1)) order by order_id";

const MOVED: &str = "
    select member_id, count(*), sum(points)::text from mileage_movement
    where $1::uuid[] is null or member_id = any($1) group by member_id order by member_id";

const SHOWN: &str = "
    select member_id, count(*), sum(points)::text from movement_view
    where $1::uuid[] is null or member_id = any($1) group by member_id order by member_id";

const LEFT: &str = "
    select member_id, count(*), sum(remaining)::text from mileage_lot
    where remaining > 0 and ($1::uuid[] is null or member_id = any($1))
    group by member_id order by member_id";

const LEFT_SHOWN: &str = "
    select member_id, count(*), sum(remaining)::text from lot_view
    where remaining > 0 and ($1::uuid[] is null or member_id = any($1))
    group by member_id order by member_id";

/// What is so in one database at one moment.
pub(super) async fn check_inside(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    for (service, rule, sql) in [
        ("coupon", REDEEMED, REDEMPTIONS),
        ("mileage", LOTS, BALANCES),
        ("mileage", RETURNED, SPENDS),
        ("mileage", RETURNED, REVOKED),
    ] {
        for row in sources.rows(service, sql, &[&scope.ids()]).await? {
            found.certain(rule, row.get(0));
        }
    }
    Ok(())
}

/// What is only so when nothing is on its way.
pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    check_kept(sources, scope, found).await?;
    let lists = [(MOVED, SHOWN, "entries beside what it earned"), (LEFT, LEFT_SHOWN, "lots left")];
    for (said, shown, what) in lists {
        let said = sources.sorted("mileage", said, scope.ids()).await?;
        let shown = sources.sorted("mypage", shown, scope.ids()).await?;
        compare([said, shown], what, found).await?;
    }
    Ok(())
}

/// Coupons and points of orders that are cancelled, or that order does not know.
async fn check_kept(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    let list = async |service, sql| sources.sorted(service, sql, scope.ids()).await;
    let mut coupons = list("coupon", COUPONS).await?;
    let mut spent = list("mileage", SPENT).await?;
    let mut orders = list("order", ORDERS).await?;
    while let Some(id) = [&coupons, &spent, &orders].into_iter().filter_map(Sorted::id).min() {
        let mut state = None;
        while let Some(row) = orders.take(id).await? {
            state = Some(row.get::<_, String>(1));
        }
        let gone = state.as_deref().is_none_or(|state| state == "CANCELLED");
        for (list, what) in [(&mut coupons, "a coupon"), (&mut spent, "points")] {
            while list.take(id).await?.is_some() {
                if gone {
                    let state = state.as_deref().unwrap_or("unknown");
                    let offence = format!("is {state}, and has {what}");
                    found.suspect(KEPT, About::Entity("order", id), offence);
                }
            }
        }
    }
    Ok(())
}

/// What mileage says of each member, and My Page shows otherwise, or not at all.
async fn compare(
    [mut said, mut shown]: [Sorted; 2],
    what: &str,
    found: &mut Suspicions,
) -> Result<()> {
    while let Some(id) = [&said, &shown].into_iter().filter_map(Sorted::id).min() {
        let (said, shown) = (total(&mut said, id).await?, total(&mut shown, id).await?);
        if said != shown {
            let words = |(count, sum): (i64, String)| format!("{count} of {sum}");
            let (shown, said) = (words(shown), words(said));
            let offence = format!("is shown with {what}: {shown}, not {said}");
            found.suspect(orders::POINTS, About::Entity("member", id), offence);
        }
    }
    Ok(())
}

/// How many there are of a member, and their sum.
async fn total(list: &mut Sorted, id: Uuid) -> Result<(i64, String)> {
    let mut total = (0, "0".to_owned());
    while let Some(row) = list.take(id).await? {
        total = (row.get(1), row.get(2));
    }
    Ok(total)
}
