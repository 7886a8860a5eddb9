-- What arrives on the shop's bank account, and what became of it.
create table deposit (
  id uuid primary key,
  -- The bank's: the same transaction is the same deposit.
  bank_transaction_id text not null constraint deposit_bank_transaction unique,
  amount_minor bigint not null constraint deposit_amount_positive check (amount_minor > 0),
  depositor_name text not null,
  reference text not null,
  receive_time timestamptz not null,
  -- MATCHING: product is being asked for the goods; nobody sees it.
  state text not null constraint deposit_state check (state in ('MATCHING', 'MATCHED', 'HELD',
    'REFUNDING', 'REFUNDED', 'CREDITED')),
  held_reason text not null constraint deposit_held_reason check (held_reason in ('', 'UNMATCHED',
    'SHORT', 'EXCESS', 'LATE', 'DUPLICATE', 'OUT_OF_STOCK', 'ORDER_CANCELLED')),
  order_id uuid,
  payment_id uuid,
  -- Whose payment that is.
  member_id uuid,
  -- How much of it pays the order; while MATCHING: is going to. What is held is owed to who paid it.
  matched_minor bigint not null constraint deposit_matched_not_negative check (matched_minor >= 0),
  held_minor bigint not null constraint deposit_held_not_negative check (held_minor >= 0),
  -- Whether it is in the ledger: not before it is known what it is.
  booked boolean not null,
  -- The command that recorded it, by its caller and key; empty without a key.
  recorded_by text not null default '',
  version bigint not null default 1,
  create_time timestamptz not null default now(),
  constraint deposit_parts check (matched_minor + held_minor <= amount_minor)
);
create index deposit_by_state on deposit (state, id desc);
create index deposit_by_reference on deposit (reference, id desc) where reference <> '';
create index deposit_by_member on deposit (member_id) where member_id is not null;
create index payout_by_deposit on payout (deposit_id) where deposit_id is not null;
create index deposit_by_order on deposit (order_id) where order_id is not null;

-- What is owed to others, to be added up whenever somebody asks.
create index ledger_entry_owed on ledger_entry (account) include (amount_minor)
  where account in ('HELD', 'PAYOUT');
create index ledger_transaction_found on ledger_transaction (kind)
  where kind in ('CHARGE_FOUND', 'CHARGE_RETURNED');

-- What a depositor writes: short, unique, and with a check character.
create sequence deposit_reference as bigint;
alter table payment
  add column reference text not null default '',
  -- Who is going to pay, as whoever ordered said; nothing else has it.
  add column declared_depositor text not null default '';
-- Those that wait have been told a reference already. Two may have the same: then a person matches.
update payment set reference = old.reference from (
  select distinct on (reference) order_id, reference from (
    select order_id, 'HS-' || upper(right(replace(id::text, '-', ''), 8)) as reference
    from payment where state in ('WAITING_FOR_DEPOSIT', 'CONFIRMING')) waiting
  order by reference, order_id) old
where payment.order_id = old.order_id;
create unique index payment_reference on payment (reference) where reference <> '';
create index payment_declared on payment (declared_depositor, amount_minor)
  where state = 'WAITING_FOR_DEPOSIT' and declared_depositor <> '';
