//! Money: the ledger adds up, and wallets and payments are what it says. Each is
//! one statement in one database, so what it finds is so at that moment.

use anyhow::Result;

use super::{
    findings::{Rule, Suspicions},
    scope::Scope,
    sources::Sources,
};

pub(super) const RULES: &[Rule] = &[SUM, BALANCE, PAYMENT, PARTS, DEPOSIT, PAYOUT, HELD];

const SUM: Rule = "each ledger transaction sums to zero";
const BALANCE: Rule = "each balance is the sum of its entries, and not below 0";
const PARTS: Rule =
    "each payment is what method and wallet keep of it, and what went back to each in parts";
const DEPOSIT: Rule = "each deposit's amount stands in exactly one place";
const PAYOUT: Rule = "each payout has left where its money was, and is out, on its way, or back";
const HELD: Rule = "what is held, and what is on its way out, is what the ledger says";
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

/// SALES is what the shop earned: of each payment what is left of it when it is DONE, else nothing.
const PAYMENTS: &str = "
    select 'payment ' || p.id || ' of ' || p.amount_minor + p.wallet_minor || ' is ' || p.state
      || ', the ledger has ' || coalesce(l.sum, 0)
    from payment p left join (
      select t.order_id, sum(e.amount_minor) as sum
      from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
      where e.account = 'SALES' and ($1::uuid[] is null or t.order_id = any($1))
      group by t.order_id) l using (order_id)
    where coalesce(l.sum, 0) <> case p.state when 'DONE' then p.amount_minor + p.wallet_minor else 0 end
      and ($1::uuid[] is null or p.order_id = any($1))
    order by p.id";

/// What was paid is what is left and what went back for parts; what did is what the parts say.
const TENDERS: &str = "
    select 'payment ' || p.id || ' keeps ' || p.amount_minor || ' and ' || p.wallet_minor
      || ', and gave back ' || p.refunded_minor || ' and ' || p.wallet_refunded_minor
      || '; the ledger has ' || coalesce(l.paid, 0) || ' and ' || coalesce(l.wallet_paid, 0) || ', less '
      || coalesce(l.back, 0) || ' and ' || coalesce(l.wallet_back, 0) || ', its parts '
      || coalesce(s.amount, 0) || ' and ' || coalesce(s.wallet, 0)
    from payment p
    left join (
      select t.order_id, sum(e.amount_minor) filter (where t.kind = 'PAYMENT') as paid,
        sum(e.amount_minor) filter (where t.kind = 'WALLET_PAYMENT') as wallet_paid,
        -sum(e.amount_minor) filter (where t.kind = 'REFUND' and t.subject_id is not null) as back,
        -sum(e.amount_minor) filter (where t.kind = 'WALLET_REFUND' and t.subject_id is not null)
          as wallet_back
      from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
      where e.account = 'SALES' and ($1::uuid[] is null or t.order_id = any($1))
      group by t.order_id) l using (order_id)
    left join (
      select order_id, sum(amount_minor) as amount, sum(wallet_minor) as wallet from payment_part
      where not unpaid and ($1::uuid[] is null or order_id = any($1))
      group by order_id) s using (order_id)
    where ($1::uuid[] is null or p.order_id = any($1))
      and ((l.order_id is not null
          and (coalesce(l.paid, 0), coalesce(l.wallet_paid, 0))
            <> (p.amount_minor + p.refunded_minor, p.wallet_minor + p.wallet_refunded_minor))
        or (coalesce(l.back, 0), coalesce(l.wallet_back, 0))
          <> (p.refunded_minor, p.wallet_refunded_minor)
        or coalesce(s.amount, 0) + coalesce(s.wallet, 0)
          <> p.refunded_minor + p.wallet_refunded_minor
        -- What a wallet alone paid is one sum.
        or (p.method <> 'WALLET' and coalesce(s.amount, 0) <> p.refunded_minor))
    order by p.id";

/// What had been paid of a part is refunded; of one that had not, the wallet has its share.
const PARTS_OF: &str = "
    select 'part ' || s.id || ' of ' || s.amount_minor || ' and ' || s.wallet_minor || ' has refunds of '
      || r.back || ', the ledger ' || l.back || ' that was paid and ' || l.released || ' that was held'
    from payment_part s,
    lateral (select coalesce(sum(amount_minor), 0) as back from refund where part_id = s.id) r,
    lateral (
      select coalesce(-sum(e.amount_minor) filter (where e.account = 'SALES'), 0) as back,
        coalesce(-sum(e.amount_minor) filter (where e.account = 'HELD'), 0) as released
      from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
      where t.subject_id = s.id) l
    where ($1::uuid[] is null or s.order_id = any($1))
      and (r.back, l.back, l.released) <> (
        case when s.unpaid then 0 else s.amount_minor + s.wallet_minor end,
        case when s.unpaid then 0 else s.amount_minor + s.wallet_minor end,
        case when s.unpaid then s.wallet_minor else 0 end)
    order by s.id";

/// A deposit that is in the ledger is matched, held, credited, or was sent by payouts that have not failed.
const DEPOSITS: &str = "
    select 'deposit ' || d.id || ' of ' || d.amount_minor || ' is ' || d.state || ': '
      || d.matched_minor || ' matched, ' || d.held_minor || ' held, ' || s.sent || ' sent, '
      || s.credited || ' credited, ' || s.booked || ' in the ledger'
    from deposit d, lateral (
      select coalesce((select sum(amount_minor) from payout p
          where p.deposit_id = d.id and p.state <> 'FAILED'), 0) as sent,
        coalesce((select sum(e.amount_minor) from ledger_transaction t
          join ledger_entry e on e.transaction_id = t.id
          where t.subject_id = d.id and t.kind = 'CREDIT' and e.account = 'WALLET'), 0) as credited,
        coalesce((select sum(e.amount_minor) from ledger_transaction t
          join ledger_entry e on e.transaction_id = t.id
          where t.subject_id = d.id and t.kind = 'DEPOSIT' and e.account = 'HELD'), 0) as booked) s
    where ($1::uuid[] is null or d.id = any($1) or d.order_id = any($1))
      and d.state <> 'MATCHING'
      and (d.matched_minor + d.held_minor + s.sent + s.credited <> d.amount_minor
        or s.booked <> d.amount_minor
        or (d.state = 'MATCHED') <> (d.matched_minor = d.amount_minor)
        or (d.state = 'HELD') <> (d.held_minor > 0))
    union all
    select 'payment ' || p.id || ' of ' || p.amount_minor + p.refunded_minor
      || ' is DONE, its deposits paid '
      || m.matched
    from payment p, lateral (select coalesce(sum(d.matched_minor), 0) as matched
      from deposit d where d.order_id = p.order_id) m
    where ($1::uuid[] is null or p.order_id = any($1)) and p.state = 'DONE'
      and p.method = 'BANK_TRANSFER' and m.matched <> p.amount_minor + p.refunded_minor
      -- Those of versions before had no deposits.
      and exists (select from ledger_transaction t join ledger_entry e on e.transaction_id = t.id
        where t.order_id = p.order_id and t.kind = 'PAYMENT' and e.account = 'HELD')
    order by 1";

/// A payout is on its way until it is sent, or back. That of a refund has the refund's id; that of a deposit may name
/// an order, too, which has refunds of its own.
const PAYOUTS: &str = "
    select 'payout ' || p.id || ' of ' || p.amount_minor || ' is ' || p.state || ', ' || s.sum
      || ' of it is on its way'
    from payout p, lateral (
      select coalesce(sum(e.amount_minor), 0) as sum from ledger_transaction t
      join ledger_entry e on e.transaction_id = t.id
      where e.account = 'PAYOUT'
        and (t.subject_id = p.id or (p.deposit_id is null and t.order_id = p.order_id
          and t.kind = 'REFUND'
          and t.subject_id is not distinct from (select part_id from refund where id = p.id)))) s
    where ($1::uuid[] is null or p.id = any($1) or p.order_id = any($1) or p.member_id = any($1)
        or p.deposit_id = any($1))
      and s.sum <> case p.state when 'REQUESTED' then p.amount_minor else 0 end
    order by p.id";

/// The two accounts as a whole. What a card was charged for nothing is held until it is refunded, what a
/// wallet pays beside the method until the payment ends.
const ACCOUNTS: &str = "
    select account || ' has ' || booked || ', it should have ' || owed from (
      select 'HELD' as account,
        (select coalesce(sum(amount_minor), 0) from ledger_entry where account = 'HELD') as booked,
        (select coalesce(sum(held_minor + case state when 'MATCHING' then matched_minor else 0 end), 0)
          from deposit where booked)
        + (select coalesce(sum(amount_minor), 0) from refund
          where (void or top_up_id is not null) and state <> 'REFUNDED')
        + (select coalesce(sum(wallet_minor), 0) from payment
          where state in ('AUTHORISING', 'WAITING_FOR_DEPOSIT', 'CONFIRMING')) as owed
      union all
      select 'PAYOUT',
        (select coalesce(sum(amount_minor), 0) from ledger_entry where account = 'PAYOUT'),
        (select coalesce(sum(amount_minor), 0) from payout where state = 'REQUESTED')) sums
    where booked <> owed";

pub(super) async fn check(sources: &Sources, scope: &Scope, found: &mut Suspicions) -> Result<()> {
    let scoped = [
        (SUM, ONE_SIDED),
        (BALANCE, BALANCES),
        (PAYMENT, PAYMENTS),
        (PARTS, TENDERS),
        (PARTS, PARTS_OF),
        (DEPOSIT, DEPOSITS),
        (PAYOUT, PAYOUTS),
    ];
    for (rule, sql) in scoped {
        for row in sources.rows("payment", sql, &[&scope.ids()]).await? {
            found.certain(rule, row.get(0));
        }
    }
    for row in sources.rows("payment", ACCOUNTS, &[]).await? {
        found.certain(HELD, row.get(0));
    }
    Ok(())
}
