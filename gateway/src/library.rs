//! The tests' own contract, `tests/proto/library.proto`, with all that can be
//! mapped: Hansang's contracts use little of it.

#[cfg(test)]
mod paths;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;

#[expect(
    unreachable_pub,
    elided_lifetimes_in_paths,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    clippy::upper_case_acronyms,
    reason = "generated from the contract, which carries the documentation"
)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/library/messages.rs"));
}

pub(crate) use rows::ROUTES;

#[allow(unreachable_patterns, clippy::pedantic, reason = "emitted")]
mod rows {
    use base::Error;

    use super::messages;
    use crate::{
        read,
        route::{Media, Route},
        slot,
        write::{self, Body, Json, Object},
    };

    include!(concat!(env!("OUT_DIR"), "/library/routes.rs"));
}

/// The contract as an encoded descriptor set.
#[cfg(test)]
pub(crate) const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/library/descriptors.bin"));
