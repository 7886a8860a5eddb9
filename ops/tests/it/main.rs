//! All integration tests of `ops`: one executable, so that what they stand on is compiled and linked once.

mod ops;
