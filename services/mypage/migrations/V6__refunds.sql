-- What of an order's payment went back, or is going back: encoded, as payment said it last.
create table refund_view (
  order_id uuid not null,
  refund_id uuid not null,
  body bytea not null,
  version bigint not null,
  primary key (order_id, refund_id)
);
