-- An order is dispatched and delivered, and closes by itself.
alter table orders drop constraint orders_state;
alter table orders add constraint orders_state check (state in
  ('PENDING', 'ABORTING', 'PLACED', 'AWAITING_DEPOSIT', 'PAID', 'PREPARED', 'DELIVERING', 'DELIVERED', 'CLOSED',
    'CANCELLING', 'CANCELLED'));
alter table orders drop constraint orders_told;
alter table orders add constraint orders_told check (told in
  ('PENDING', 'PLACED', 'AWAITING_DEPOSIT', 'PAID', 'PREPARED', 'DELIVERING', 'DELIVERED', 'CLOSED', 'CANCELLED'));
alter table orders
  add column dispatched boolean not null default false,
  add column delivered boolean not null default false,
  -- Of one that is closed; absent where only the member could do that.
  add column close_reason text constraint orders_close_reason check (close_reason in
    ('MEMBER_CONFIRMED', 'DAYS_AFTER_DELIVERY', 'DAYS_AFTER_START'));

-- What is on its way already closes by itself, too.
insert into task (kind, key, payload, due_at)
select 'close-after-start', id, '', clock_now() + interval '21 days' from orders where state = 'DELIVERING'
on conflict do nothing;
