//! All integration tests of `delivery`: one executable, so that what they stand on is compiled and linked once.

mod delivery;
