-- Refunds that somebody had asked for again, or settled by hand.
alter table audit_entry drop constraint audit_entry_action;
alter table audit_entry add constraint audit_entry_action check (action in ('WALLET_ADJUSTED',
  'DEPOSIT_MATCHED', 'DEPOSIT_REFUNDED', 'DEPOSIT_CREDITED', 'ORDER_CANCELLED', 'ROLE_GRANTED',
  'ROLE_REVOKED', 'STOCK_ADJUSTED', 'REFUND_RETRIED', 'REFUND_SETTLED'));
