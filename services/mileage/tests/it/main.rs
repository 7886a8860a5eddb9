//! All integration tests of `mileage`: one executable, so that what they stand on is compiled and linked once.

mod mileage;
