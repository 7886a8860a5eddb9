-- A member as their page shows them. Others may speak of one before member itself does; until then
-- they are not registered and not shown.
create table member_view (
  member_id uuid primary key,
  registered boolean not null default false,
  withdrawn boolean not null default false,
  admin_notified boolean not null default false
);

-- A member's coupons, ISSUED unless cancelled.
create table coupon_view (
  coupon_id uuid primary key,
  member_id uuid not null,
  cancelled boolean not null,
  -- When it was first heard of: its issuing, since nothing happens to a coupon before that.
  create_time timestamptz not null
);
create index coupon_view_by_member on coupon_view (member_id, coupon_id desc);

-- The points of a member's payments, EARNED unless cancelled.
create table mileage_view (
  entry_id uuid primary key,
  payment_id uuid not null,
  order_id uuid not null,
  member_id uuid not null,
  points bigint not null,
  cancelled boolean not null,
  create_time timestamptz not null
);
create index mileage_view_by_member on mileage_view (member_id, entry_id desc);
