//! All integration tests of `web`: one executable, so that what they stand on is compiled and linked once.

mod consoles;
mod pages;
mod shop;
