-- Changes are numbered by a sequence, under an advisory lock of their member: no row is rewritten for
-- each. `member_view.change` is left to the version before.
create sequence change_number as bigint;
select setval('change_number', greatest(1,
  (select max(change) from member_view), (select max(change) from order_view)));

-- A milestone is written in the transaction of its order's row.
alter table milestone drop constraint milestone_order_id_fkey;

-- Rewritten in place, and often.
alter table member_view set (
  fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
