//! All integration tests of `gateway`: one executable, so that what they stand on is compiled and linked once.

mod openapi;
mod rest;
mod stack;
