-- The money side of each order. REFUSED is the tombstone of an order that was cancelled first.
create table payment (
  id uuid not null constraint payment_id_unique unique,
  order_id uuid primary key,
  member_id uuid not null,
  method text not null constraint payment_method check (method in ('CARD', 'WALLET', 'BANK_TRANSFER')),
  amount_minor bigint not null constraint payment_amount_not_negative check (amount_minor >= 0),
  currency text not null,
  state text not null constraint payment_state check (state in ('NEW', 'AUTHORISING', 'WAITING_FOR_DEPOSIT',
    'CONFIRMING', 'DONE', 'DECLINED', 'CANCELLED', 'EXPIRED', 'REFUSED')),
  -- Why it was declined or cancelled; while AUTHORISING or CONFIRMING, why it shall be cancelled then.
  reason text not null default '',
  -- The order's lines, a column each: what a confirmed deposit takes from the stock.
  product_ids uuid[] not null default '{}',
  quantities int[] not null default '{}',
  deposit_due_time timestamptz,
  depositor_name text not null default '',
  -- Calls to product that may be under way; above 0 the payment is CONFIRMING.
  confirm_attempts int not null default 0,
  -- What the acquirer knows a card payment by.
  acquirer_reference text not null default '',
  version bigint not null default 0,
  create_time timestamptz not null default now(),
  constraint payment_deposit check ((state in ('WAITING_FOR_DEPOSIT', 'CONFIRMING')) <= (deposit_due_time is not null))
);
create index payment_by_member on payment (member_id, id desc);
create index payment_by_state on payment (state, id desc);

-- A member's prepaid balance: always the sum of its ledger entries.
create table wallet (
  member_id uuid primary key,
  balance_minor bigint not null constraint wallet_not_negative check (balance_minor >= 0),
  currency text not null,
  version bigint not null default 0
);

-- Double-entry: the entries of each transaction sum to zero.
create table ledger_transaction (
  id uuid primary key,
  kind text not null constraint ledger_transaction_kind check (kind in ('TOP_UP', 'PAYMENT', 'REFUND')),
  order_id uuid references payment,
  create_time timestamptz not null default now(),
  constraint ledger_transaction_once unique (order_id, kind)
);

create table ledger_entry (
  transaction_id uuid not null references ledger_transaction,
  -- WALLET: a member's. SALES: what the shop earned. CARD, BANK: where payments come from.
  -- SANDBOX: where top-ups come from.
  account text not null constraint ledger_entry_account check (account in ('WALLET', 'SALES', 'CARD', 'BANK', 'SANDBOX')),
  -- Of a wallet; no other account has one.
  member_id uuid constraint ledger_entry_member check ((account = 'WALLET') = (member_id is not null)),
  amount_minor bigint not null,
  primary key (transaction_id, account)
);
create index ledger_entry_by_member on ledger_entry (member_id, transaction_id desc);

create function ledger_sums_to_zero() returns trigger language plpgsql as $$
begin
  if exists (select from ledger_entry where transaction_id in (select transaction_id from added)
             group by transaction_id having sum(amount_minor) <> 0) then
    raise exception 'a ledger transaction does not sum to zero'
      using errcode = 'check_violation', constraint = 'ledger_sums_to_zero';
  end if;
  return null;
end $$;
create trigger ledger_sums_to_zero after insert on ledger_entry
  referencing new table as added for each statement execute function ledger_sums_to_zero();

-- The ledger is written once. (A transaction keeps `update` alone, which its foreign key needs.)
revoke update, delete, truncate on ledger_entry from current_user;
revoke delete, truncate on ledger_transaction from current_user;
