-- Commands by their idempotency keys; kept for a day.
create table idempotency (
  caller text not null,
  method text not null,
  key text not null,
  request_hash bytea not null,
  resource_id uuid not null,
  response bytea,
  create_time timestamptz not null default now(),
  primary key (caller, method, key)
);
create index idempotency_by_age on idempotency (create_time);
