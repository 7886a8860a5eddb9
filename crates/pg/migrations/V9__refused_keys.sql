-- What a command was refused with (a google.rpc.Status), where that was decided before its first
-- transaction. Its response is then no message at all, so that a version that does not know this column
-- answers it with an error.
alter table idempotency add column refusal bytea;
