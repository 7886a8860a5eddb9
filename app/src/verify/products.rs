//! Goods: a stock is what its movements say, so is what each order took, and order's
//! copy of the catalogue is what product has.

use anyhow::Result;
use tokio_postgres::Row;

use super::{
    findings::{About, Rule, Suspicions},
    scope::Scope,
    sources::Sources,
};

pub(super) const RULES: &[Rule] = &[STOCK, ALLOCATION, CATALOGUE];

const STOCK: Rule =
    "each stock is initial + restocked − decreased + restored ± adjusted, and not below 0";
const ALLOCATION: Rule = "each order moved the stock that its allocation says";
const CATALOGUE: Rule = "order's copy of the catalogue is what product has";

/// Movements out are negative.
const STOCKS: &str = "
    select 'product ' || p.id || ' has ' || p.stock + p.surplus || ', its movements say ' || coalesce(m.sum, 0)
    from product p left join (
      select product_id, sum(quantity) as sum from stock_movement
      where $1::uuid[] is null or product_id = any($1) group by product_id) m
      on m.product_id = p.id
    where (p.stock + p.surplus <> coalesce(m.sum, 0) or p.stock < 0)
      and ($1::uuid[] is null or p.id = any($1))
    order by p.id";

/// An allocation's lines went out when it is DECREASED, out and back when RESTORED, else not at all; what was
/// taken back of it before is not among its lines.
const ALLOCATIONS: &str = "
    with said as (
      select a.order_id, l.product_id, k.kind, sum(l.quantity * k.sign) as quantity
      from allocation a,
        unnest(a.product_ids, a.quantities) as l (product_id, quantity),
        (values ('DECREASED', -1), ('RESTORED', 1)) as k (kind, sign)
      where (a.state = 'RESTORED' or a.state = k.kind)
        and ($1::uuid[] is null or a.order_id = any($1))
      group by a.order_id, l.product_id, k.kind),
    moved as (
      select order_id, product_id, out_or_back as kind, sum(quantity) as quantity
      from stock_movement,
        lateral (select case kind when 'TAKEN_BACK' then 'DECREASED' else kind end as out_or_back) k
      where order_id is not null and ($1::uuid[] is null or order_id = any($1))
      group by order_id, product_id, out_or_back)
    select 'order ' || order_id || ' moved ' || coalesce(moved.quantity, 0) || ' of ' || product_id
      || ' (' || kind || '), its allocation says ' || coalesce(said.quantity, 0)
    from said full join moved using (order_id, product_id, kind)
    where coalesce(moved.quantity, 0) <> coalesce(said.quantity, 0)
    order by order_id";

const PRODUCTS: &str = "
    select id, display_name, price_minor, currency, version from product
    where $1::uuid[] is null or id = any($1) order by id";

const COPIES: &str = "
    select product_id, display_name, price_minor, currency, version from catalogue
    where $1::uuid[] is null or product_id = any($1) order by product_id";

/// What is so in one database at one moment.
pub(super) async fn check_stock(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    for (rule, sql) in [(STOCK, STOCKS), (ALLOCATION, ALLOCATIONS)] {
        for row in sources.rows("product", sql, &[&scope.ids()]).await? {
            found.certain(rule, row.get(0));
        }
    }
    Ok(())
}

pub(super) async fn check_catalogue(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    let mut products = sources.sorted("product", PRODUCTS, scope.ids()).await?;
    let mut copies = sources.sorted("order", COPIES, scope.ids()).await?;
    while let Some(id) = products.id().into_iter().chain(copies.id()).min() {
        let product = products.take(id).await?.as_ref().map(offer);
        let copy = copies.take(id).await?.as_ref().map(offer);
        // A restock counts as a version, and changes nothing that is copied.
        let same = match (&product, &copy) {
            (Some(product), Some(copy)) => product.0 == copy.0 && product.1 >= copy.1,
            _ => false,
        };
        if !same {
            let word = |offer: Option<(String, i64)>| {
                offer.map_or_else(
                    || "missing".to_owned(),
                    |(offer, version)| format!("{offer} ({version})"),
                )
            };
            let state = format!("is {}, its copy {}", word(product), word(copy));
            found.suspect(CATALOGUE, About::Entity("product", id), state);
        }
    }
    Ok(())
}

/// Name and price, and their version.
fn offer(row: &Row) -> (String, i64) {
    let (name, price, currency): (&str, i64, &str) = (row.get(1), row.get(2), row.get(3));
    (format!("{name:?} for {price} {currency}"), row.get(4))
}
