//! All integration tests of `tls`: one executable, so that what they stand on is compiled and linked once.

mod tls;
