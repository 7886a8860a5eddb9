-- The trace that a milestone was passed in; none is known of those that were there before.
alter table milestone add column trace_id text not null default '';
