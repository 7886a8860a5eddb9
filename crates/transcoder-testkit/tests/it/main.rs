//! All integration tests of `transcoder-testkit`: one executable, so that what they stand on is compiled and linked once.

mod fuzzing;
mod paths;
mod requests;
mod responses;
