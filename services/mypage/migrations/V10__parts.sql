-- What was taken back of an order: the events that say so, encoded, as order tells them.
create table part_event (
  order_id uuid not null,
  -- The order's: of two, the higher is the later.
  version bigint not null,
  at timestamptz not null,
  body bytea not null,
  primary key (order_id, version)
);

alter table order_view
  -- Until when its member may ask for a return; absent before the goods have arrived.
  add column returnable_until timestamptz;
