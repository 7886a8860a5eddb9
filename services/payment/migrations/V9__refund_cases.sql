-- A refund is found without its payment, and one that the acquirer refuses is ended by hand. What a card was
-- charged for an order or a top-up that came to nothing is given back by a refund, too.
alter table refund
  alter column order_id drop not null,
  add column top_up_id uuid,
  -- Of a charge for an order that nobody placed.
  add column void boolean not null default false,
  add column member_id uuid,
  -- Why the acquirer refuses it.
  add column failure text not null default '',
  -- Who ended it by hand, and why.
  add column settle_reason text not null default '',
  add column settled_by uuid,
  add column version bigint not null default 0,
  add constraint refund_of check (num_nonnulls(order_id, top_up_id) = 1);
update refund set member_id = p.member_id from payment p where p.order_id = refund.order_id;
alter table refund alter column member_id set not null;

-- The version before does not say whose a refund is.
create function refund_is_whose() returns trigger language plpgsql as $$
begin
  if new.member_id is null then
    select member_id into new.member_id from payment where order_id = new.order_id;
  end if;
  return new;
end $$;
create trigger refund_is_whose before insert on refund for each row execute function refund_is_whose();

create index refund_by_member on refund (member_id, id desc);
create index refund_by_state on refund (state, id desc);
create unique index refund_of_top_up on refund (top_up_id) where top_up_id is not null;
create index refund_of_charge on refund (state) include (amount_minor)
  where void or top_up_id is not null;

-- Charges that were found, and are being given back.
insert into refund (id, order_id, void, member_id, tender, amount_minor, state, create_time)
select t.id, t.order_id, true, p.member_id, 'CARD', p.amount_minor, 'REFUNDING', t.create_time
from ledger_transaction t join payment p using (order_id)
where t.kind = 'CHARGE_FOUND' and not exists (select from ledger_transaction r
  where r.order_id = t.order_id and r.kind = 'CHARGE_RETURNED');
insert into refund (id, top_up_id, member_id, tender, amount_minor, state, create_time)
select t.id, u.id, u.member_id, 'CARD', u.amount_minor, 'REFUNDING', t.create_time
from ledger_transaction t join top_up u on u.id = t.subject_id
where t.kind = 'CHARGE_FOUND' and t.order_id is null and not exists (select from ledger_transaction r
  where r.subject_id = t.subject_id and r.kind = 'CHARGE_RETURNED');

alter table ledger_transaction drop constraint ledger_transaction_kind;
alter table ledger_transaction add constraint ledger_transaction_kind check (kind in ('TOP_UP', 'PAYMENT',
  'REFUND', 'ADJUSTMENT', 'PAYOUT', 'PAYOUT_SENT', 'PAYOUT_FAILED', 'DEPOSIT', 'CREDIT', 'CHARGE_FOUND',
  'CHARGE_RETURNED', 'WALLET_RESERVED', 'WALLET_RELEASED', 'WALLET_PAYMENT', 'WALLET_REFUND',
  'REFUND_SETTLED'));
