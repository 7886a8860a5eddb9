create table product (
  id uuid primary key,
  display_name text not null,
  price_minor bigint not null constraint product_price_not_negative check (price_minor >= 0),
  currency text not null,
  stock int not null constraint product_stock_not_negative check (stock >= 0),
  version bigint not null,
  create_time timestamptz not null default now()
);

-- What one order took. REFUSED is the tombstone of an order that was cancelled first.
create table allocation (
  order_id uuid primary key,
  member_id uuid not null,
  state text not null constraint allocation_state check (state in ('NEW', 'DECREASED', 'SHORT', 'RESTORED', 'REFUSED')),
  product_ids uuid[] not null default '{}',
  quantities int[] not null default '{}',
  version bigint not null default 0,
  create_time timestamptz not null default now()
);

-- Every change of a stock: stock = the sum of its movements.
create table stock_movement (
  id bigint generated always as identity primary key,
  product_id uuid not null references product,
  kind text not null constraint stock_movement_kind check (kind in ('INITIAL', 'RESTOCKED', 'DECREASED', 'RESTORED')),
  quantity int not null,
  order_id uuid references allocation,
  create_time timestamptz not null default now(),
  constraint stock_movement_once unique (order_id, product_id, kind)
);
create index stock_movement_by_product on stock_movement (product_id);
