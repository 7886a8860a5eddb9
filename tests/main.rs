//! The tests of the whole system, from outside: one executable, so that what they stand on is compiled and
//! linked once.

mod deployment;
mod dynamic;
mod inputs;
mod matrix;
mod parts;
mod people;
mod readme;
mod split;
mod stories;
mod up;
mod verify;
