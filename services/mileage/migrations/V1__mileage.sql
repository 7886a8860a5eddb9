-- The points of one payment. REFUSED is the tombstone of a payment that was cancelled first.
create table mileage_entry (
  id uuid not null constraint mileage_entry_id_unique unique,
  payment_id uuid primary key,
  order_id uuid not null,
  member_id uuid not null,
  points bigint not null constraint mileage_entry_points_not_negative check (points >= 0),
  state text not null constraint mileage_entry_state check (state in ('NEW', 'EARNED', 'CANCELLED', 'REFUSED')),
  version bigint not null default 0,
  create_time timestamptz not null default now()
);
create index mileage_entry_by_member on mileage_entry (member_id, id desc);
-- A balance is the sum of these: one index scan, no row that all of a member's payments wait for.
create index mileage_entry_earned on mileage_entry (member_id) include (points) where state = 'EARNED';
