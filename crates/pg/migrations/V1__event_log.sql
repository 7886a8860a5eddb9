-- What happened here: appended in the transaction that made it happen.
create table event (
  id bigint generated always as identity (cache 1) primary key,
  event_id uuid not null,
  aggregate_id uuid not null,
  aggregate_version bigint not null,
  partition smallint not null constraint event_partition check (partition between 0 and 63),
  type text not null,
  correlation_id uuid not null,
  causation_id uuid,
  headers jsonb not null,
  occurred_at timestamptz not null default now(),
  payload bytea not null,
  xid xid8 not null default pg_current_xact_id(),
  constraint event_version_unique unique (aggregate_id, aggregate_version)
);
create index event_by_transaction on event (xid, id);

-- Where each event stands in the log: dense from 1, given by the sequencer after the commit.
create table event_position (
  position bigint primary key,
  partition smallint not null,
  id bigint not null constraint event_position_once unique
);
create index event_position_by_partition on event_position (partition, position);

-- The log's head, what the sequencer has seen so far, and whose log this is.
create table sequencer (
  single boolean primary key default true constraint sequencer_single check (single),
  position bigint not null,
  snapshot pg_snapshot not null,
  floor bigint not null,
  incarnation uuid not null,
  system_identifier bigint not null,
  timeline_id text not null
);
insert into sequencer (position, snapshot, floor, incarnation, system_identifier, timeline_id)
select 0, pg_current_snapshot(), 0, gen_random_uuid(), system_identifier,
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
from pg_control_system();

-- How far each consumer of this service has applied other services' logs. Another incarnation
-- than the log's stops the consumer; an operator who has compared the two sets it to null.
create table checkpoint (
  consumer text not null,
  source text not null,
  partition smallint not null constraint checkpoint_partition check (partition between 0 and 63),
  position bigint not null default 0,
  incarnation uuid,
  parked bigint not null default 0,
  lease_owner uuid,
  lease_until timestamptz,
  primary key (consumer, source, partition)
) with (fillfactor = 50);

-- Events that failed for a reason of their own (error), and those behind them (no error).
create table parked (
  consumer text not null,
  source text not null,
  position bigint not null,
  correlation_id uuid not null,
  type text not null,
  message bytea not null,
  error text,
  parked_at timestamptz not null default now(),
  primary key (consumer, source, position)
);
create index parked_by_correlation on parked (consumer, source, correlation_id);
