-- What pays an order beside its method.
alter table orders
  add column coupon_id uuid,
  add column coupon_discount_minor bigint not null default 0,
  add column points bigint not null default 0,
  add column wallet_minor bigint not null default 0,
  -- What each line bears of it, a column each; null when there is nothing to share.
  add column coupon_shares bigint[],
  add column points_shares bigint[],
  add column wallet_shares bigint[],
  add constraint orders_checkout_fits check (coupon_discount_minor >= 0 and points >= 0 and wallet_minor >= 0
    and (pending is not null or coupon_discount_minor + points + wallet_minor <= total_minor));
