-- Who carries an order's parcel, and why the order is closed.
alter table order_view
  add column carrier text not null default '',
  add column tracking_number text not null default '',
  add column close_reason text not null default '';

-- Where an order's goods go: an encoded Address, as order said it.
create table address_view (
  order_id uuid primary key,
  member_id uuid not null,
  body bytea not null
);
create index address_view_by_member on address_view (member_id);
-- Members of whom nothing personal is kept any more.
create table erased_member (
  member_id uuid primary key
);
