-- Pieces of an order are taken back, and the rest of it goes on.
alter table orders
  -- How many of each line, a column each; null while nothing was taken back.
  add column cancelled_quantities int[],
  add column returned_quantities int[],
  -- Set aside: of a cancellation that is under way, and of returns that are asked for.
  add column open_quantities int[],
  -- What payment is being asked about, and how many calls may be under way.
  add column part_id uuid,
  add column part_attempts int not null default 0,
  -- When the goods had arrived, by the service's clock.
  add column arrived_at timestamptz;

-- What is taken back at once: a cancellation of lines, or a return.
create table order_part (
  id uuid primary key,
  order_id uuid not null references orders,
  member_id uuid not null,
  kind text not null constraint order_part_kind check (kind in ('CANCEL', 'RETURN')),
  -- UNDER_WAY: payment is being asked. CANCELLED: the whole order was first.
  state text not null constraint order_part_state check (state in ('REQUESTED', 'UNDER_WAY', 'DONE', 'REJECTED',
    'CANCELLED')),
  -- Which of the order's lines, from 0, and how many pieces, a column each.
  line_numbers int[] not null,
  quantities int[] not null,
  -- Why, as the member or the shop says.
  reason text not null,
  -- Who of the shop cancelled, accepted or rejected: a member's id; none where the member cancelled.
  actor_id uuid,
  reject_reason text not null default '',
  -- Where the money of a bank transfer goes, encoded; none: to the wallet.
  refund_account bytea,
  -- Of one that is DONE: what the pieces bear, a column each.
  coupon_shares bigint[] not null default '{}',
  points_shares bigint[] not null default '{}',
  wallet_shares bigint[] not null default '{}',
  payable_shares bigint[] not null default '{}',
  create_time timestamptz not null default now()
);
create index order_part_by_order on order_part (order_id, id);
create index order_part_returns on order_part (id desc) where kind = 'RETURN';
create index order_part_returns_by_state on order_part (state, id desc) where kind = 'RETURN';
