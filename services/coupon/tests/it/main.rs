//! All integration tests of `coupon`: one executable, so that what they stand on is compiled and linked once.

mod coupon;
mod silence;
