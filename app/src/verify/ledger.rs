//! Money: the ledger adds up, and wallets and payments are what it says. Each is
//! one statement in one database, so what it finds is so at that moment.

use anyhow::Result;

use super::{
    findings::{Rule, Suspicions},
    scope::Scope,
    sources::Sources,
};

pub(super) const RULES: &[Rule] = &[SUM, BALANCE, PAYMENT];

const SUM: Rule = "each ledger transaction sums to zero";
const BALANCE: Rule = "each balance is the sum of its entries, and not below 0";
const PAYMENT: Rule = "each payment that is DONE is in the ledger, once, and no other is";

const ONE_SIDED: &str = "
    select 'transaction ' || t.id || ' sums to ' || coalesce(sum(e.amount_minor), 0)
      || ' over ' || count(e.account) || ' entries'
    from ledger_transaction t left join ledger_entry e on e.transaction_id = t.id
    where $1::uuid[] is null or t.order_id = any($1)
      or t.id in (select transaction_id from ledger_entry where member_id = any($1))
    group by t.id having count(e.account) < 2 or sum(e.amount_minor) <> 0
    order by t.id";

const BALANCES: &str = "
    select 'member ' || member_id || ' has ' || coalesce(w.balance_minor, 0)
      || ', the entries say ' || coalesce(e.sum, 0)
    from (select member_id, balance_minor from wallet
      where $1::uuid[] is null or member_id = any($1)) w
    full join (
      select member_id, sum(amount_minor) as sum from ledger_entry
      where account = 'WALLET' and ($1::uuid[] is null or member_id = any($1))
      group by member_id) e using (member_id)
    where coalesce(w.balance_minor, 0) <> coalesce(e.sum, 0) or w.balance_minor < 0
    order by member_id";

/// SALES is what the shop earned: of each payment its amount when it is DONE, else nothing.
const PAYMENTS: &str = "
    select 'payment ' || p.id || ' of ' || p.amount_minor || ' is ' || p.state
      || ', the ledger has ' || coalesce(l.sum, 0)
    from payment p left join (
      select t.order_id, sum(e.amount_minor) as sum
      from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
      where e.account = 'SALES' and ($1::uuid[] is null or t.order_id = any($1))
      group by t.order_id) l using (order_id)
    where coalesce(l.sum, 0) <> case p.state when 'DONE' then p.amount_minor else 0 end
      and ($1::uuid[] is null or p.order_id = any($1))
    order by p.id";

pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    for (rule, sql) in [(SUM, ONE_SIDED), (BALANCE, BALANCES), (PAYMENT, PAYMENTS)] {
        for row in sources.rows("payment", sql, &[&scope.ids()]).await? {
            found.certain(rule, row.get(0));
        }
    }
    Ok(())
}
