-- How far the service's time is ahead of the database's; only tests move it.
create table clock (
  single boolean primary key default true constraint clock_single check (single),
  ahead interval not null default interval '0'
);
insert into clock default values;

-- The service's time. Stable, so that an index on what it is compared with is used.
create function clock_now() returns timestamptz language sql stable
  return (select now() + ahead from clock);
