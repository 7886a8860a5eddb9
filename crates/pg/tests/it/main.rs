//! All integration tests of `pg`: one executable, so that what they stand on is compiled and linked once.

mod database;
mod idempotency;
mod in_doubt;
mod migrate;
mod passwords;
mod task;
mod tls;
