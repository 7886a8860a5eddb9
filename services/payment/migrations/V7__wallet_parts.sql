-- The wallet may pay a part of an order beside its method: it is held until the payment ends.
alter table payment
  add column wallet_minor bigint not null default 0
    constraint payment_wallet_not_negative check (wallet_minor >= 0);
alter table ledger_transaction drop constraint ledger_transaction_kind;
alter table ledger_transaction add constraint ledger_transaction_kind check (kind in ('TOP_UP', 'PAYMENT',
  'REFUND', 'ADJUSTMENT', 'PAYOUT', 'PAYOUT_SENT', 'PAYOUT_FAILED', 'DEPOSIT', 'CREDIT', 'CHARGE_FOUND',
  'CHARGE_RETURNED', 'WALLET_RESERVED', 'WALLET_RELEASED', 'WALLET_PAYMENT', 'WALLET_REFUND'));
