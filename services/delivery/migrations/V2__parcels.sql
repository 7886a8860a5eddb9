-- A delivery is dispatched, and arrives.
alter table delivery drop constraint delivery_state;
alter table delivery add constraint delivery_state check (state in
  ('NEW', 'STARTED', 'DISPATCHED', 'DELIVERED', 'COMPLETED', 'CANCELLED', 'REFUSED'));
alter table delivery
  -- Who carries the parcel, and what they know it by: also of a dispatch that order has not agreed to yet.
  add column carrier text,
  add column tracking_number text,
  -- Calls to order that may be under way to dispatch it.
  add column dispatch_attempts int not null default 0,
  add column dispatch_time timestamptz,
  add column deliver_time timestamptz;
create index delivery_by_state on delivery (state, id desc);
create index delivery_by_parcel on delivery (tracking_number, carrier) where tracking_number is not null;

-- Members to whom something goes; of those who are erased nothing is kept any more.
create table addressee (
  member_id uuid primary key,
  erased boolean not null default false
);
-- Where an order's goods go: an encoded Address, as it was when the order was placed.
create table delivery_address (
  order_id uuid primary key,
  member_id uuid not null,
  address bytea not null
);
create index delivery_address_by_member on delivery_address (member_id);
