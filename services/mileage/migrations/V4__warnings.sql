-- Members are told of points that expire soon, once of each entry.
alter table mileage_lot add column warned boolean not null default false;
-- Only those of whom somebody is yet to be told. By an expression, so that whoever looks for them has this index
-- and never that of all that expire, with those that were told of.
create index mileage_lot_unwarned on mileage_lot ((case when not warned then expire_time end))
  where remaining > 0 and not warned;
