create table orders (
  id uuid primary key,
  member_id uuid not null,
  method text not null constraint orders_method check (method in ('CARD', 'WALLET', 'BANK_TRANSFER')),
  total_minor bigint not null constraint orders_total_not_negative check (total_minor >= 0),
  currency text not null,
  -- The lines as they were bought, a column each.
  product_ids uuid[] not null,
  display_names text[] not null,
  quantities int[] not null,
  unit_prices_minor bigint[] not null,
  -- A card order that is not placed yet: nobody sees it.
  pending text constraint orders_pending check (pending in ('PENDING', 'ABORTING')),
  -- Calls to payment that may be under way to place it.
  place_attempts int not null default 0,
  -- Facts that the order has learned; its state follows from them.
  deposit_requested boolean not null default false,
  paid boolean not null default false,
  stock_decreased boolean not null default false,
  delivery_started boolean not null default false,
  receipt_confirmed boolean not null default false,
  -- Calls to payment that may be under way; above 0 the order is CANCELLING.
  cancel_attempts int not null default 0,
  cancel_reason text constraint orders_cancel_reason check (cancel_reason in
    ('MEMBER_REQUEST', 'OUT_OF_STOCK', 'INSUFFICIENT_BALANCE', 'DEPOSIT_EXPIRED', 'CARD_DECLINED', 'MEMBER_WITHDRAWN')),
  payment_id uuid,
  -- For lists by state; always what the facts say.
  state text not null constraint orders_state check (state in
    ('PENDING', 'ABORTING', 'PLACED', 'AWAITING_DEPOSIT', 'PAID', 'PREPARED', 'DELIVERING', 'CLOSED', 'CANCELLING', 'CANCELLED')),
  -- The last milestone that others were told of.
  told text not null constraint orders_told check (told in
    ('PENDING', 'PLACED', 'AWAITING_DEPOSIT', 'PAID', 'PREPARED', 'DELIVERING', 'CLOSED', 'CANCELLED')),
  version bigint not null,
  -- The version of the last event; it grows by one with each.
  event_version bigint not null,
  create_time timestamptz not null default now()
);
create index orders_by_member on orders (member_id, id desc);
create index orders_by_state on orders (state, id desc);

-- A copy of the catalogue, kept from product's events.
create table catalogue (
  product_id uuid primary key,
  display_name text not null,
  price_minor bigint not null,
  currency text not null,
  version bigint not null
);

-- Members who withdrew: they place no orders any more.
create table withdrawn_member (
  member_id uuid primary key
);
