//! What everything else speaks of: errors as the caller sees them, ids, money, pages of lists,
//! entity tags, input with its limits, and how a process stops. Knows no word of the shop.
//!
//! ```
//! use base::{Error, error::Kind, input::Text};
//!
//! const NAME: Text = Text::new(1, 100);
//! let error: Error = NAME.parse("displayName", "   ").unwrap_err();
//! assert_eq!(error.kind(), Kind::Invalid);
//! // On the wire it is a gRPC status with the field and the reason.
//! let status = tonic::Status::from(error);
//! assert!(status.message().starts_with("displayName: "));
//! ```
//!
//! It refuses to know a database, a network, or what any of it is for.

pub mod backoff;
pub mod error;
pub mod etag;
pub mod fail_point;
pub mod id;
pub mod input;
mod intern;
pub mod money;
pub mod page;
#[cfg(feature = "postgres")]
mod postgres;
mod stop;

pub use error::{Error, Refuse};
pub use intern::intern;
pub use money::Money;
#[cfg(feature = "postgres")]
pub use postgres::{cause_of, constraint};
pub use stop::Stop;
