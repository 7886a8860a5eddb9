create table member (
  id uuid primary key,
  -- In lower case: addresses that differ in case alone are one.
  email text not null constraint member_email_unique unique,
  display_name text not null,
  password_hash text not null,
  roles text[] not null constraint member_roles check (roles <@ array['MEMBER', 'SELLER', 'ADMIN']),
  state text not null constraint member_state check (state in ('ACTIVE', 'WITHDRAWING', 'WITHDRAWN')),
  coupon_issued boolean not null default false,
  admin_notified boolean not null default false,
  coupon_cancelled boolean not null default false,
  version bigint not null,
  create_time timestamptz not null default now()
);
