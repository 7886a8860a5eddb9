//! All integration tests of `eventlog`: one executable, so that what they stand on is compiled and linked once.

mod consumer;
mod event_log;
mod losses;
mod support;
