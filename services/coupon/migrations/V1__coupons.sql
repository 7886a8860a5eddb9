-- One a member. REFUSED is the tombstone of a member who withdrew first.
create table coupon (
  id uuid not null constraint coupon_id_unique unique,
  member_id uuid primary key,
  state text not null constraint coupon_state check (state in ('NEW', 'ISSUED', 'CANCELLED', 'REFUSED')),
  version bigint not null default 0,
  create_time timestamptz not null default now()
);
