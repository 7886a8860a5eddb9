-- A coupon as coupon said it last: encoded, and of which version. None of what versions before said.
alter table coupon_view
  add column state text not null default 'ISSUED',
  add column body bytea,
  add column version bigint not null default 0;
update coupon_view set state = 'CANCELLED' where cancelled;

-- What changed a member's points, other than what payments earned; `mileage_view` has that, as before.
create table movement_view (
  entry_id uuid primary key,
  member_id uuid not null,
  kind text not null constraint movement_view_kind check (kind in ('SPEND', 'RESTORE', 'REVOKE', 'EXPIRE')),
  points bigint not null,
  order_id uuid,
  earn_entry_id uuid,
  expire_time timestamptz,
  create_time timestamptz not null
);
create index movement_view_by_member on movement_view (member_id, entry_id desc);

-- What is left of what a payment earned; of two versions, the higher is the later.
create table lot_view (
  entry_id uuid primary key,
  member_id uuid not null,
  remaining bigint not null,
  expire_time timestamptz not null,
  version bigint not null
);
create index lot_view_open on lot_view (member_id, expire_time) include (remaining)
  where remaining > 0;

-- As mileage has them of what versions before said.
insert into lot_view (entry_id, member_id, remaining, expire_time, version)
select entry_id, member_id, points, create_time + interval '365 days', 1
from mileage_view where not cancelled and points > 0;
insert into movement_view (entry_id, member_id, kind, points, earn_entry_id, create_time)
select encode(set_byte(uuid_send(entry_id), 15, get_byte(uuid_send(entry_id), 15) # 1), 'hex')::uuid,
  member_id, 'REVOKE', -points, entry_id, now()
from mileage_view where cancelled and points > 0;
