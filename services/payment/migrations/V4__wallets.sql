-- Wallets are filled by card, corrected with a reason, and paid out. Nothing comes out of SANDBOX any
-- more; the ledger is written once, so what did stays, and the version before may still write it.
alter table ledger_transaction drop constraint ledger_transaction_kind;
alter table ledger_transaction add constraint ledger_transaction_kind check (kind in ('TOP_UP', 'PAYMENT',
  'REFUND', 'ADJUSTMENT', 'PAYOUT', 'PAYOUT_SENT', 'PAYOUT_FAILED', 'DEPOSIT', 'CREDIT', 'CHARGE_FOUND',
  'CHARGE_RETURNED'));
alter table ledger_transaction
  -- What it is about when that is no order: a top-up, a payout, a deposit.
  add column subject_id uuid,
  -- Why, and who says so, where somebody gave a reason.
  add column reason text not null default '',
  add column actor_id uuid;
create unique index ledger_transaction_of_subject on ledger_transaction (subject_id, kind)
  where subject_id is not null;

-- HELD: what came in and belongs to nobody's order yet. PAYOUT: on its way to a bank account.
-- ADJUSTMENT: what admins gave and took.
alter table ledger_entry drop constraint ledger_entry_account;
alter table ledger_entry add constraint ledger_entry_account check (account in ('WALLET', 'SALES', 'CARD',
  'BANK', 'SANDBOX', 'HELD', 'PAYOUT', 'ADJUSTMENT'));

-- A card is charged to fill a wallet.
create table top_up (
  id uuid primary key,
  member_id uuid not null,
  amount_minor bigint not null constraint top_up_amount_positive check (amount_minor > 0),
  -- ABANDONING: nobody waits for the outcome any more; what was charged is refunded. ABANDONED: nothing
  -- was, as far as the acquirer says.
  state text not null constraint top_up_state check (state in ('AUTHORISING', 'ABANDONING', 'ABANDONED',
    'DONE', 'DECLINED', 'VOIDED')),
  acquirer_reference text not null default '',
  create_time timestamptz not null default now()
);

-- Money on its way out.
create table payout (
  id uuid primary key,
  -- Whose it is; none for a deposit that was never a member's.
  member_id uuid,
  deposit_id uuid,
  order_id uuid,
  amount_minor bigint not null constraint payout_amount_positive check (amount_minor > 0),
  state text not null constraint payout_state check (state in ('REQUESTED', 'SENT', 'FAILED')),
  bank_code text not null,
  account_number text not null,
  holder text not null,
  failure text not null default '',
  create_time timestamptz not null default now()
);
create index payout_by_member on payout (member_id, id desc);
create index payout_by_state on payout (state, id desc);

-- Members who have withdrawn: what comes to them later, an admin pays out.
create table withdrawn_member (member_id uuid primary key);
