//! The stories: what the shop promises, told over REST against real processes,
//! one a service, on a real Postgres. Services are really killed. Nothing here
//! looks inside a service, but for the ledger, which has to add up.

mod house;
mod people;
mod wallet;
