//! What every process serves for operators: events that could not be applied, losses of logs, what the
//! logs say of something, and in tests the clock.

pub mod clock;
pub(crate) mod losses;
pub(crate) mod parked;
pub(crate) mod trail;
