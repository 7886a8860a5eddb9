-- On what terms coupons are issued. `welcome` is the policy of those for signing up.
create table policy (
  id uuid primary key,
  name text not null constraint policy_name_unique unique,
  display_name text not null,
  amount_minor bigint,
  percent integer,
  maximum_minor bigint,
  minimum_minor bigint not null,
  valid_days integer not null,
  version bigint not null default 1,
  create_time timestamptz not null default now(),
  constraint policy_discount check ((amount_minor is null) <> (percent is null))
);
insert into policy (id, name, display_name, amount_minor, minimum_minor, valid_days)
values ('00000000-0000-7000-8000-000000000001', 'welcome', '가입 축하 쿠폰', 3000, 10000, 90);

-- From now on `coupon` has what became of a member's sign-up, whatever coupons they have: ISSUED while
-- they are a member, CANCELLED and REFUSED once they have withdrawn. `member_coupon` has the coupons, with
-- the terms that they were issued on; the one for signing up has the id that it has in `coupon`.
create table member_coupon (
  id uuid primary key,
  member_id uuid not null,
  display_name text not null,
  amount_minor bigint,
  percent integer,
  maximum_minor bigint,
  minimum_minor bigint not null,
  expire_time timestamptz not null,
  state text not null constraint member_coupon_state check (state in ('ISSUED', 'CANCELLED', 'REDEEMED', 'EXPIRED')),
  -- The order that has it.
  order_id uuid,
  version bigint not null,
  create_time timestamptz not null default now(),
  constraint member_coupon_discount check ((amount_minor is null) <> (percent is null)),
  constraint member_coupon_order check ((state = 'REDEEMED') = (order_id is not null))
);
create index member_coupon_by_member on member_coupon (member_id, id desc);
create index member_coupon_issued on member_coupon (member_id, id) where state = 'ISSUED';
create index member_coupon_by_expiry on member_coupon (expire_time, id) where state = 'ISSUED';

-- Those that were issued before have the terms of today, from today on.
insert into member_coupon (id, member_id, display_name, amount_minor, minimum_minor, expire_time,
  state, version, create_time)
select c.id, c.member_id, p.display_name, p.amount_minor, p.minimum_minor,
  now() + p.valid_days * interval '1 day', c.state, c.version, c.create_time
from coupon c join policy p on p.name = 'welcome' where c.state in ('ISSUED', 'CANCELLED');

-- What an order did with a coupon. REFUSED is the tombstone of an order that was cancelled first.
create table redemption (
  order_id uuid primary key,
  member_id uuid not null,
  state text not null constraint redemption_state check (state in ('NEW', 'REDEEMED', 'RELEASED', 'REFUSED')),
  coupon_id uuid,
  discount_minor bigint not null default 0
);

-- Looks every minute for coupons that have expired.
insert into task (kind, key, payload, due_at)
values ('expire-coupons', '00000000-0000-0000-0000-000000000000', '', now());
