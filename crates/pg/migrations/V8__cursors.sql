-- A log keeps what its sequencer has seen as rows that are written once, so that a snapshot held open
-- elsewhere slows nothing down; a cursor proves itself by the id of the event that stands there.

-- What was numbered up to this position: all that this snapshot saw. The last row counts; older ones
-- are deleted now and then.
create table numbering (
  position bigint primary key,
  snapshot pg_snapshot not null,
  -- What was added to transaction ids in event.xid then: above 0 once the log was restored into a
  -- server whose transaction ids were lower.
  shift bigint not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

do $$
declare
  last record;
  head bigint;
  shifted bigint := 0;
begin
  lock table sequencer, event in access exclusive mode;
  select s.* into strict last from sequencer s;
  with fresh as (
    select e.id, e.partition from event e
    where e.id > last.floor and (e.xid >= pg_snapshot_xmax(last.snapshot)
      or e.xid in (select pg_snapshot_xip(last.snapshot)))),
  numbered as (
    insert into event_position (position, partition, id)
    select last.position + row_number() over (order by id), partition, id from fresh
    returning position)
  select coalesce(max(position), last.position) into head from numbered;
  if last.floor > 0 then
    select coalesce(greatest(0, (
        select xid from event order by xid desc limit 1)::text::bigint + 1
        - pg_snapshot_xmin(pg_current_snapshot())::text::bigint), 0) into shifted;
  end if;
  if shifted > 0 then
    execute format('alter table event alter column xid
      set default ((pg_current_xact_id()::text::bigint + %s)::text::xid8)', shifted);
  end if;
  insert into numbering values (head, pg_current_snapshot(), shifted);
end $$;

-- Subscribers of the version before still compare it; it never changes any more.
alter table sequencer rename to log;
alter table log rename constraint sequencer_single to log_single;
alter table log drop column position, drop column snapshot, drop column floor,
  drop column system_identifier, drop column timeline_id;

-- Gives positions to what has committed, and to what this transaction itself has appended, dense and
-- in the order of the ids; answers the head. One at a time: without `wait` it answers null when another
-- is numbering. The lock and what follows are statements of their own, as each needs the newer snapshot;
-- the snapshot that is stored is the very one that was searched.
--
-- A stored snapshot does not cover the transaction that stores it, which is why events are looked up
-- in event_position as well. The planner knows nothing of transaction ids, so only the right plan is
-- left to it.
create function number_events(wait boolean) returns bigint language plpgsql
  set enable_seqscan = off
  set enable_bitmapscan = off
  set enable_hashjoin = off
  set enable_mergejoin = off
  set plan_cache_mode = force_generic_plan
  set jit = off
as $$
declare
  last numbering;
  upper xid8;
  open xid8[];
  head bigint;
  restored boolean;
  -- So that it ends within the statement timeout, however much there is. What is left over is still
  -- new to the snapshot that was stored before.
  most bigint := 20000;
begin
  if wait then
    perform pg_advisory_xact_lock(1751216499, 1);
  elsif not pg_try_advisory_xact_lock(1751216499, 1) then
    return null;
  end if;
  select n.* into strict last from numbering n order by n.position desc limit 1;
  -- Transaction ids go back only where a dump was restored into a younger server.
  restored := pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(last.snapshot);
  if restored then
    if not wait then
      return null;
    end if;
    lock table event in access exclusive mode;
    most := null;
  end if;
  upper := (pg_snapshot_xmax(last.snapshot)::text::bigint + last.shift)::text::xid8;
  select coalesce(array_agg((x::text::bigint + last.shift)::text::xid8), '{}') into open
  from pg_snapshot_xip(last.snapshot) x;
  with fresh as (
    select e.id, e.partition from (
      select f.id, f.partition from event f where f.xid >= upper offset 0) e
    where not exists (select from event_position p where p.id = e.id)
    union all
    select e.id, e.partition from unnest(open) as o (xid),
      lateral (select f.id, f.partition from event f where f.xid = o.xid offset 0) e
    where not exists (select from event_position p where p.id = e.id)
    union all
    select e.id, e.partition from event e
    where wait and e.id > (select coalesce(max(id), 0) from event_position)
      -- Not by the index on transactions, where nearly all are below.
      and (e.xid < upper) is true and e.xid <> all (open)),
  portion as (select id, partition from fresh order by id limit most),
  numbered as (
    insert into event_position (position, partition, id)
    select last.position + row_number() over (order by id), partition, id from portion
    returning position)
  insert into numbering (position, snapshot, shift)
  select max(position), case when count(*) = most then last.snapshot else pg_current_snapshot() end,
    last.shift
  from numbered having count(*) > 0
  returning position into head;
  head := coalesce(head, last.position);
  if restored then
    perform shift_transactions(head);
  end if;
  if head / 64 > last.position / 64 then
    delete from numbering where position < last.position and position >= last.position - 1024;
  end if;
  return head;
end $$;

-- Has new events carry higher transaction ids than all before them, after these have gone back. The
-- caller has locked the events.
create function shift_transactions(head bigint) returns void language plpgsql as $$
declare
  shifted bigint;
begin
  select coalesce(greatest(0, (
      select xid from event order by xid desc limit 1)::text::bigint + 1
      - pg_snapshot_xmin(pg_current_snapshot())::text::bigint), 0) into shifted;
  execute format('alter table event alter column xid
    set default ((pg_current_xact_id()::text::bigint + %s)::text::xid8)', shifted);
  -- The new default holds for whoever waits for the lock.
  update numbering set snapshot = pg_current_snapshot(), shift = shifted where position = head;
end $$;

-- Checkpoints: a row per partition, replaced by a new one whenever it moves. Its key has the position
-- in it, so that no row is ever rewritten, and who deletes it has proved that nobody else moved it.
alter table checkpoint rename to checkpoint_before;
alter table checkpoint_before rename constraint checkpoint_pkey to checkpoint_before_pkey;
alter table checkpoint_before rename constraint checkpoint_partition to checkpoint_before_partition;
create table checkpoint (
  consumer text not null,
  source text not null,
  partition smallint not null constraint checkpoint_partition check (partition between 0 and 63),
  -- Everything of the partition up to here has been seen,
  position bigint not null,
  -- where this event stood, of whatever partition; null at 0.
  event_id uuid,
  -- The last event of the partition that was applied; 0 and null before the first.
  applied bigint not null,
  applied_id uuid,
  primary key (consumer, source, partition, position)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
insert into checkpoint (consumer, source, partition, position, applied)
select consumer, source, partition, position, position from checkpoint_before;
drop table checkpoint_before;

-- Partitions that had applied events which their source has lost: stopped until an operator accepts it.
create table log_loss (
  consumer text not null,
  source text not null,
  partition smallint not null,
  -- What was applied last, and is not in the source's log any more.
  applied bigint not null,
  applied_id uuid not null,
  -- The last position that both have in common, and the event there; 0 and null before the first.
  common bigint not null,
  common_id uuid,
  found_at timestamptz not null default now(),
  accepted_at timestamptz,
  accepted_by text,
  reason text,
  primary key (consumer, source, partition, applied_id),
  constraint log_loss_reason check ((accepted_at is null) = (reason is null))
);

-- What operators gave up, and why.
create table discarded (
  consumer text not null,
  source text not null,
  position bigint not null,
  correlation_id uuid not null,
  type text not null,
  message bytea not null,
  error text,
  parked_at timestamptz not null,
  discarded_at timestamptz not null default now(),
  discarded_by text not null,
  reason text not null,
  primary key (consumer, source, position)
);
