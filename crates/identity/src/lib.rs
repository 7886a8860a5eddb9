//! Who calls, what they may, and whose tokens are void. The rules are options of the contracts; tokens
//! are verified without asking anybody.

pub mod access;
pub mod auth;
pub mod revocation;
