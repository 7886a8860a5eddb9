-- Adds up the transactions that were written, each by its key. As a join the planner may begin it with
-- all entries that there are, and it plans once, when there are hardly any.
create or replace function ledger_sums_to_zero() returns trigger language plpgsql
  set enable_seqscan = off
as $$
begin
  if exists (
    select from (select distinct transaction_id from added) a,
      lateral (select sum(amount_minor) as sum from ledger_entry e
        where e.transaction_id = a.transaction_id offset 0) s
    where s.sum <> 0) then
    raise exception 'a ledger transaction does not sum to zero'
      using errcode = 'check_violation', constraint = 'ledger_sums_to_zero';
  end if;
  return null;
end $$;
