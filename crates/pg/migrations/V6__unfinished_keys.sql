-- Keys of commands that have not been answered, by what they were to make.
create index idempotency_unfinished on idempotency (resource_id) where response is null;
