//! Whatever the acquirer and the bank answer, and however they say it: each is played by a local server
//! that says yes, no or neither, late, twice, never, or half of it, in all combinations.

#[path = "answers/bank.rs"]
mod bank;
#[path = "answers/cards.rs"]
mod cards;
#[path = "answers/erasure.rs"]
mod erasure;
#[expect(dead_code, reason = "other tests play more of them")]
mod others;
#[path = "answers/speaks.rs"]
mod speaks;
