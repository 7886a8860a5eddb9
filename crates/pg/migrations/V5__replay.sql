-- An operator wants it applied again.
alter table parked add column replay boolean not null default false;
create index parked_to_replay on parked (consumer, source) where replay;
