-- `mileage_entry` has what payments earned, as before. Whatever else changes a member's points:
create table mileage_movement (
  id uuid primary key,
  member_id uuid not null,
  kind text not null constraint mileage_movement_kind check (kind in ('SPEND', 'RESTORE', 'REVOKE', 'EXPIRE')),
  points bigint not null,
  -- The order that the points were spent on.
  order_id uuid,
  -- The entry that had earned them.
  entry_id uuid,
  expire_time timestamptz,
  create_time timestamptz not null default now(),
  constraint mileage_movement_sign check ((points > 0) = (kind = 'RESTORE') and points <> 0)
);
create index mileage_movement_by_member on mileage_movement (member_id, id desc);

-- A member under lock: whoever changes their points locks this first.
create table mileage_account (
  member_id uuid primary key,
  -- What was taken back after it had been spent; above 0 only while no lot has anything left.
  debt bigint not null default 0 constraint mileage_account_debt check (debt >= 0)
);

-- What is left of the points of an entry.
create table mileage_lot (
  entry_id uuid primary key,
  member_id uuid not null,
  points bigint not null,
  remaining bigint not null,
  expired bigint not null default 0,
  expire_time timestamptz not null,
  version bigint not null,
  constraint mileage_lot_remaining check (remaining >= 0 and expired >= 0 and remaining + expired <= points)
);
create index mileage_lot_open on mileage_lot (member_id, expire_time, entry_id) include (remaining)
  where remaining > 0;
create index mileage_lot_by_expiry on mileage_lot (expire_time) where remaining > 0;

-- What an order did with points. REFUSED is the tombstone of an order that was cancelled first.
create table mileage_spend (
  order_id uuid primary key,
  member_id uuid not null,
  state text not null constraint mileage_spend_state check (state in ('NEW', 'SPENT', 'RELEASED', 'REFUSED')),
  entry_id uuid not null,
  points bigint not null default 0,
  create_time timestamptz not null default now(),
  -- What was taken from which lots.
  lot_ids uuid[] not null default '{}',
  taken bigint[] not null default '{}'
);

-- What was earned before expires as if it had been known then.
insert into mileage_lot (entry_id, member_id, points, remaining, expire_time, version)
select id, member_id, points, points, create_time + interval '365 days', 1
from mileage_entry where state = 'EARNED' and points > 0;

-- What was taken back before has an entry that says so; its id is the other's but for the last bit, so that My
-- Page, which hears of none, knows it too.
insert into mileage_movement (id, member_id, kind, points, entry_id)
select encode(set_byte(uuid_send(id), 15, get_byte(uuid_send(id), 15) # 1), 'hex')::uuid, member_id,
  'REVOKE', -points, id
from mileage_entry where state = 'CANCELLED' and points > 0;

-- Looks every minute for points that have expired.
insert into task (kind, key, payload, due_at)
values ('expire-points', '00000000-0000-0000-0000-000000000000', '', now());
