//! For tests of what transcodes: a contract that uses all that can be mapped (`proto/library.proto`),
//! its routes, an oracle that does the same by reflection, and what the fuzz targets in `fuzz/` call.
//!
//! ```
//! use serde_json::json;
//! use transcoder_testkit::{ORACLE, route};
//!
//! let echo = route("/EchoKinds");
//! let bytes = ORACLE.response(echo, &json!({"int64Field": "-9"}));
//! let body = (echo.response)(&bytes).expect("it is a message").bytes;
//! assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).ok(), Some(ORACLE.json(echo, &bytes)));
//! ```
//!
//! It refuses to be fast, and to be part of a release.

pub mod fuzzing;
mod oracle;

use std::sync::LazyLock;

use transcoder::Route;

pub use oracle::{Oracle, set};
pub use rows::ROUTES;

/// buffa's types of the contract's messages.
#[allow(
    missing_docs,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated from the contract, which carries the documentation"
)]
pub mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

#[allow(unreachable_patterns, clippy::pedantic, reason = "emitted")]
mod rows {
    include!(concat!(env!("OUT_DIR"), "/routes.rs"));
}

/// The contract as an encoded descriptor set.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Knows the contract by reflection.
pub static ORACLE: LazyLock<Oracle> = LazyLock::new(|| Oracle::new(DESCRIPTORS));

/// The route of a method, by the end of its path.
///
/// # Panics
/// When there is none.
pub fn route(method: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.method.ends_with(method)).expect("a route")
}
