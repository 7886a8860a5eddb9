-- Members are told of points that expire soon, once of each entry.
alter table mileage_lot add column warned boolean not null default false;
-- Read alone, without the table: only those of whom somebody is yet to be told.
create index mileage_lot_unwarned on mileage_lot (expire_time) include (member_id)
  where remaining > 0 and not warned;
