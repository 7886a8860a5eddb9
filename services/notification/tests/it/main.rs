//! All integration tests of `notification`: one executable, so that what they stand on is compiled and linked once.

mod notification;
mod smtp;
