-- Sellers and admins cancel too.
alter table orders drop constraint orders_cancel_reason;
alter table orders add constraint orders_cancel_reason check (cancel_reason in
  ('MEMBER_REQUEST', 'OUT_OF_STOCK', 'INSUFFICIENT_BALANCE', 'DEPOSIT_EXPIRED', 'CARD_DECLINED',
    'MEMBER_WITHDRAWN', 'SHOP_REQUEST'));
alter table orders
  -- Who of the shop asked for the cancellation, and why.
  add column cancel_actor uuid,
  add column cancel_note text not null default '',
  -- Where the money goes: an encoded BankAccount, until payment has it.
  add column refund_account bytea;
