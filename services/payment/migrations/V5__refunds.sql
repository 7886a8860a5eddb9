-- Money of a payment that goes back: to the card, the wallet, or a bank account.
create table refund (
  id uuid primary key,
  order_id uuid not null,
  tender text not null constraint refund_tender check (tender in ('CARD', 'WALLET', 'BANK_TRANSFER')),
  amount_minor bigint not null constraint refund_amount_positive check (amount_minor > 0),
  state text not null constraint refund_state check (state in ('REFUNDING', 'REFUNDED', 'FAILED')),
  -- Of one to a bank account.
  payout_id uuid,
  create_time timestamptz not null default now()
);
create index refund_by_order on refund (order_id);
create index refund_failed on refund (id) where state = 'FAILED';
