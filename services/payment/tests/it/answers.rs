//! Whatever the acquirer and the bank answer, and however they say it: each is played by a local server
//! that says yes, no or neither, late, twice, never, or half of it, in all combinations.

mod bank;
mod cards;
mod erasure;
mod speaks;
