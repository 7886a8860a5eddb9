//! The stories: what the shop promises, told over REST against real processes,
//! one per service, on a real Postgres. Services are really killed. Nothing here
//! looks inside a service, but for the ledger, which has to add up, and the event
//! logs, which have to tell of each thing once.

mod back_office;
mod breakfast;
mod checkout;
mod coupon;
mod deliveries;
mod deposits;
mod drain;
mod everywhere;
mod keys;
mod killed;
mod leaving;
mod load;
mod mall;
mod mealkit;
mod money;
mod ops;
mod parts;
mod points;
mod races;
mod rolling;
mod shop;
mod telemetry;
mod wallet;
mod watch;
mod years;
