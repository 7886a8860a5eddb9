//! Money: the ledger adds up, and wallets and payments are what it says.

use anyhow::Result;

use super::{Finding, sources::Sources};

const ONE_SIDED: &str = "
    select 'transaction ' || t.id || ' sums to ' || coalesce(sum(e.amount_minor), 0)
      || ' over ' || count(e.account) || ' entries'
    from ledger_transaction t left join ledger_entry e on e.transaction_id = t.id
    group by t.id having count(e.account) < 2 or sum(e.amount_minor) <> 0
    order by t.id";

const BALANCES: &str = "
    select 'member ' || member_id || ' has ' || coalesce(w.balance_minor, 0)
      || ', the entries say ' || coalesce(e.sum, 0)
    from wallet w full join (
      select member_id, sum(amount_minor) as sum from ledger_entry
      where account = 'WALLET' group by member_id) e using (member_id)
    where coalesce(w.balance_minor, 0) <> coalesce(e.sum, 0) or w.balance_minor < 0
    order by member_id";

/// SALES is what the shop earned: of each payment its amount when it is DONE, else nothing.
const PAYMENTS: &str = "
    select 'payment ' || p.id || ' of ' || p.amount_minor || ' is ' || p.state
      || ', the ledger has ' || coalesce(l.sum, 0)
    from payment p left join (
      select t.order_id, sum(e.amount_minor) as sum
      from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
      where e.account = 'SALES' group by t.order_id) l using (order_id)
    where coalesce(l.sum, 0) <> case p.state when 'DONE' then p.amount_minor else 0 end
    order by p.id";

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (invariant, sql) in [
        ("each ledger transaction sums to zero", ONE_SIDED),
        ("each balance is the sum of its entries, and not below 0", BALANCES),
        ("each payment that is DONE is in the ledger, once, and no other is", PAYMENTS),
    ] {
        let rows = sources.rows("payment", sql).await?;
        findings.push(Finding { invariant, offences: rows.iter().map(|row| row.get(0)).collect() });
    }
    Ok(findings)
}
