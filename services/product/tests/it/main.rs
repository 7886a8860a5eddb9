//! All integration tests of `product`: one executable, so that what they stand on is compiled and linked once.

mod product;
