-- One an order. REFUSED is the tombstone of an order that was cancelled first.
create table delivery (
  id uuid not null constraint delivery_id_unique unique,
  order_id uuid primary key,
  member_id uuid not null,
  state text not null constraint delivery_state check (state in ('NEW', 'STARTED', 'COMPLETED', 'CANCELLED', 'REFUSED')),
  version bigint not null default 0,
  create_time timestamptz not null default now()
);
create index delivery_by_member on delivery (member_id, id desc);
