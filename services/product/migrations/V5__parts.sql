-- An order gives some of what it took back, more than once.
alter table stock_movement drop constraint stock_movement_kind;
alter table stock_movement add constraint stock_movement_kind check (kind in ('INITIAL', 'RESTOCKED',
  'DECREASED', 'TAKEN_BACK', 'RESTORED', 'ADJUSTED'));
-- The cancellation or return that says so.
alter table stock_movement add column part_id uuid
  constraint stock_movement_part check ((part_id is not null) = (kind = 'TAKEN_BACK'));
alter table stock_movement drop constraint stock_movement_once;
create unique index stock_movement_once on stock_movement (order_id, product_id, kind)
  where order_id is not null and part_id is null;
create unique index stock_movement_of_part on stock_movement (part_id, product_id)
  where part_id is not null;
