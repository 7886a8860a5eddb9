-- Pieces of an order are cancelled or returned without the rest: some of what it earned is taken back, and
-- some of what was spent on it comes back.
alter table mileage_entry
  -- How many points fewer it is worth since some of its payment went back. At most what it earned.
  add column taken_back bigint not null default 0,
  add constraint mileage_entry_taken_back check (taken_back >= 0 and taken_back <= points),
  -- The rate that it was earned at; none where a version before earned it.
  add column basis_points int;
-- What was taken back of the points of an entry, which what has expired of them was not.
alter table mileage_lot
  add column revoked bigint not null default 0 constraint mileage_lot_revoked check (revoked >= 0);

-- The parts of orders whose points have come back: each does so once. What `mileage_spend` says was taken is what
-- the order still has.
create table mileage_part (
  -- The cancellation, or the return.
  id uuid primary key,
  order_id uuid not null,
  -- How many came back.
  points bigint not null constraint mileage_part_points_not_negative check (points >= 0),
  create_time timestamptz not null default now()
);
create index mileage_part_by_order on mileage_part (order_id);
