-- Pieces of an order are cancelled or returned without the rest, and their share of the payment goes back. What
-- `payment` says is what is left: a version that knows of no parts gives back no more than that.
create table payment_part (
  -- The cancellation, or the return: it is carried out once.
  id uuid primary key,
  order_id uuid not null references payment,
  amount_minor bigint not null constraint payment_part_amount_not_negative check (amount_minor >= 0),
  wallet_minor bigint not null constraint payment_part_wallet_not_negative check (wallet_minor >= 0),
  -- Nothing had been paid: less was waited for.
  unpaid boolean not null,
  create_time timestamptz not null default now()
);
create index payment_part_by_order on payment_part (order_id);
alter table payment
  -- What went back of what had been paid, by method and wallet.
  add column refunded_minor bigint not null default 0
    constraint payment_refunded_not_negative check (refunded_minor >= 0),
  add column wallet_refunded_minor bigint not null default 0
    constraint payment_wallet_refunded_not_negative check (wallet_refunded_minor >= 0);
-- Of a part.
alter table refund add column part_id uuid;
create index refund_of_part on refund (part_id) where part_id is not null;

-- An order's movements are once of their kind, and once more for each part, which is their subject.
alter table ledger_transaction drop constraint ledger_transaction_once;
create unique index ledger_transaction_once on ledger_transaction (order_id, kind, subject_id)
  nulls not distinct where order_id is not null;
