//! All integration tests of `member`: one executable, so that what they stand on is compiled and linked once.

mod member;
mod others;
mod revocations;
