//! What everything else speaks of: errors as the caller sees them, ids, money, pages of lists, input
//! with its limits, and how a process stops. Knows no word of the shop.

pub mod backoff;
pub mod error;
pub mod fail_point;
pub mod id;
pub mod input;
pub mod money;
pub mod page;
#[cfg(feature = "postgres")]
mod postgres;
mod stop;

pub use error::{Error, Refuse};
pub use money::Money;
#[cfg(feature = "postgres")]
pub use postgres::{cause_of, constraint};
pub use stop::Stop;
