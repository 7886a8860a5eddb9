//! What was taken back of orders while the rest went on: the lines say what the parts took, each piece cost
//! what its shares add up to, and payment gave back just that.

use anyhow::Result;
use uuid::Uuid;

use super::{
    findings::{About, Rule, Suspicions},
    scope::Scope,
    sources::{Sorted, Sources},
};

pub(super) const RULES: &[Rule] = &[TAKEN, SHARE];

const TAKEN: Rule = "each order's lines say what its cancellations and returns took, at its price";
const SHARE: Rule = "each part of an order gave back what it bears of the payment, once";

const LINES: &str = "
    with parts as (
      select p.order_id, p.kind, l.line, l.quantity,
        coalesce(l.coupon + l.points + l.wallet + l.payable, -1) as bears
      from order_part p, unnest(p.line_numbers, p.quantities, p.coupon_shares, p.points_shares,
        p.wallet_shares, p.payable_shares) as l (line, quantity, coupon, points, wallet, payable)
      where p.state = 'DONE' and ($1::uuid[] is null or p.order_id = any($1))),
    said as (
      select order_id, line, sum(bears) as bears,
        coalesce(sum(quantity) filter (where kind = 'CANCEL'), 0) as cancelled,
        coalesce(sum(quantity) filter (where kind = 'RETURN'), 0) as returned
      from parts group by order_id, line),
    has as (
      select o.id as order_id, (l.place - 1)::int as line, l.cancelled, l.returned, l.price
      from orders o, unnest(o.cancelled_quantities, o.returned_quantities, o.unit_prices_minor)
        with ordinality as l (cancelled, returned, price, place)
      where l.cancelled + l.returned > 0 and ($1::uuid[] is null or o.id = any($1)))
    select 'order ' || order_id || ' has lost ' || coalesce(has.cancelled, 0) || ' and '
      || coalesce(has.returned, 0) || ' pieces of line ' || line || ', its parts say '
      || coalesce(said.cancelled, 0) || ' and ' || coalesce(said.returned, 0) || ' for '
      || coalesce(said.bears, 0) || ' won'
    from said full join has using (order_id, line)
    where said.cancelled is distinct from has.cancelled or said.returned is distinct from has.returned
      or said.bears is distinct from (has.cancelled + has.returned) * has.price
    order by order_id";

const BEARS: &str = "
    select p.id, p.order_id,
      (select coalesce(sum(l.wallet + l.payable), 0)::bigint
       from unnest(p.wallet_shares, p.payable_shares) as l (wallet, payable))
    from order_part p
    where p.state = 'DONE' and ($1::uuid[] is null or p.order_id = any($1)) order by p.id";

const GIVEN_BACK: &str = "
    select id, order_id, amount_minor + wallet_minor from payment_part
    where $1::uuid[] is null or order_id = any($1) order by id";

/// What is so in one database at one moment.
pub(super) async fn check_inside(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    for row in sources.rows("order", LINES, &[&scope.ids()]).await? {
        found.certain(TAKEN, row.get(0));
    }
    Ok(())
}

/// What is only so when nothing is on its way.
pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    let mut borne = sources.sorted("order", BEARS, scope.ids()).await?;
    let mut given_back = sources.sorted("payment", GIVEN_BACK, scope.ids()).await?;
    while let Some(id) = [&borne, &given_back].into_iter().filter_map(Sorted::id).min() {
        let (said, done) = (take(&mut borne, id).await?, take(&mut given_back, id).await?);
        if said == done {
            continue;
        }
        let order = said.or(done).map_or(id, |(order, _)| order);
        let words = |part: Option<(Uuid, i64)>| {
            part.map_or_else(|| "nothing".to_owned(), |(_, won)| format!("{won} won"))
        };
        let offence =
            format!("bears {} of its part {id}, payment gave back {}", words(said), words(done));
        found.suspect(SHARE, About::Entity("order", order), offence);
    }
    Ok(())
}

/// The order of a part, and its won.
async fn take(list: &mut Sorted, id: Uuid) -> Result<Option<(Uuid, i64)>> {
    let mut part = None;
    while let Some(row) = list.take(id).await? {
        part = Some((row.get(1), row.get(2)));
    }
    Ok(part)
}
