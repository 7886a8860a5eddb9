//! Who calls, what they may, and whose tokens are void. The rules are options of the contracts; tokens
//! are verified without asking anybody.
//!
//! ```
//! use identity::access::Rules;
//!
//! // A service of which nothing says who may call it keeps a server from starting.
//! assert!(Rules::of(&[], &["test.v1.PingService"]).is_err());
//! ```
//!
//! It refuses to keep users, and whatever no rule allows.

pub mod access;
pub mod auth;
pub mod revocation;
