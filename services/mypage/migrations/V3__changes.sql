-- What changed of a member, in order. A member's changes are counted under the lock of the member's
-- row, so that they are numbered in the order of their commits: who has seen one has seen all before it.
alter table member_view
  -- The number of the last change, of whatever kind.
  add column change bigint not null default 0,
  -- The last that the page itself shows.
  add column page_change bigint not null default 0;

alter table order_view
  -- The change that made it what it is.
  add column change bigint not null default 0;
create index order_view_by_change on order_view (member_id, change, order_id)
  where state is not null;

-- Everyone who has orders has changes.
insert into member_view (member_id) select distinct member_id from order_view
on conflict (member_id) do nothing;
