//! All integration tests of `payment`: one executable, so that what they stand on is compiled and linked once.

mod acquirer;
mod answers;
mod others;
mod payment;
