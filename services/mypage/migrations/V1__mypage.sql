-- An order as its member sees it. Payment and delivery may be heard of before the order itself;
-- until then it has no state and is not shown.
create table order_view (
  order_id uuid primary key,
  member_id uuid not null,
  state text,
  cancel_reason text not null default '',
  -- The encoded lines and total, as order said them.
  placed bytea,
  payment_state text not null default '',
  payment_version bigint not null default 0,
  delivery_state text not null default '',
  delivery_version bigint not null default 0
);
create index order_view_by_member on order_view (member_id, order_id desc) where state is not null;

-- The milestones that an order passed, from the order's own feed alone.
create table milestone (
  order_id uuid not null references order_view,
  state text not null,
  version bigint not null,
  at timestamptz not null,
  primary key (order_id, state)
);
