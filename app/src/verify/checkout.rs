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

pub(super) const RULES: &[Rule] = &[REDEEMED, KEPT, LOTS];

const REDEEMED: Rule = "each coupon that is REDEEMED belongs to one order, which says so";
const KEPT: Rule = "no order has a coupon or has spent points that is cancelled, or unknown";
const LOTS: Rule =
    "each member's points are the sum of their entries, and what their lots have left";

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
    for (service, rule, sql) in [("coupon", REDEEMED, REDEMPTIONS), ("mileage", LOTS, BALANCES)] {
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
