-- Products go off sale, and have a description; a stock is corrected after a count.
alter table product
  add column state text not null default 'ON_SALE'
    constraint product_state check (state in ('ON_SALE', 'OFF_SALE')),
  add column description text not null default '';
create index product_on_sale on product (id) where state = 'ON_SALE';

alter table stock_movement drop constraint stock_movement_kind;
alter table stock_movement add constraint stock_movement_kind check (kind in ('INITIAL', 'RESTOCKED',
  'DECREASED', 'RESTORED', 'ADJUSTED'));
alter table stock_movement
  -- Why, and who says so, where somebody gave a reason.
  add column reason text not null default '',
  add column actor_id uuid;
