//! All integration tests of `order`: one executable, so that what they stand on is compiled and linked once.

mod order;
