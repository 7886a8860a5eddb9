-- A wallet is rewritten in place, and often.
alter table wallet set (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
