//! Goods: a stock is what its movements say, and so is what each order took.

use anyhow::Result;

use super::{Finding, sources::Sources};

/// Movements out are negative.
const STOCKS: &str = "
    select 'product ' || p.id || ' has ' || p.stock + p.surplus || ', its movements say ' || coalesce(m.sum, 0)
    from product p left join (
      select product_id, sum(quantity) as sum from stock_movement group by product_id) m
      on m.product_id = p.id
    where p.stock + p.surplus <> coalesce(m.sum, 0) or p.stock < 0
    order by p.id";

/// An allocation's lines went out when it is DECREASED, out and back when RESTORED, else not at all.
const ALLOCATIONS: &str = "
    with said as (
      select a.order_id, l.product_id, k.kind, sum(l.quantity * k.sign) as quantity
      from allocation a,
        unnest(a.product_ids, a.quantities) as l (product_id, quantity),
        (values ('DECREASED', -1), ('RESTORED', 1)) as k (kind, sign)
      where a.state = 'RESTORED' or a.state = k.kind
      group by a.order_id, l.product_id, k.kind),
    moved as (
      select order_id, product_id, kind, sum(quantity) as quantity
      from stock_movement where order_id is not null group by order_id, product_id, kind)
    select 'order ' || order_id || ' moved ' || coalesce(moved.quantity, 0) || ' of ' || product_id
      || ' (' || kind || '), its allocation says ' || coalesce(said.quantity, 0)
    from said full join moved using (order_id, product_id, kind)
    where moved.quantity is distinct from said.quantity
    order by order_id";

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (invariant, sql) in [
        ("each stock is initial + restocked − decreased + restored, and not below 0", STOCKS),
        ("each order moved the stock that its allocation says", ALLOCATIONS),
    ] {
        let rows = sources.rows("product", sql).await?;
        findings.push(Finding { invariant, offences: rows.iter().map(|row| row.get(0)).collect() });
    }
    Ok(findings)
}
