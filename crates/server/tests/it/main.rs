//! All integration tests of `server`: one executable, so that what they stand on is compiled and linked once.

mod clock;
mod support;
mod tls;
