-- Durable timers: what is to be done, and not before when.
create table task (
  id bigint generated always as identity primary key,
  kind text not null,
  key uuid not null,
  payload bytea not null,
  due_at timestamptz not null,
  attempts integer not null default 0,
  revision bigint not null default 0,
  last_error text,
  constraint task_unique unique (kind, key)
);
create index task_by_due_time on task (due_at);
