-- Wrong passwords, by the hash of the address that they were for: one that nobody has is no different.
create table sign_in_failures (
  account bytea primary key,
  failures int not null,
  -- When the first of them came. By clock_now().
  since timestamptz not null
);
create index sign_in_failures_by_time on sign_in_failures (since);
