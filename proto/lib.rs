//! The contracts: what the services say to each other and to the world.
//!
//! Made from the `.proto` files beside this one: those are the manual. Nothing
//! here does anything.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from the .proto files, which carry the documentation"
)]

include!(concat!(env!("OUT_DIR"), "/contracts.rs"));

pub use google::r#type::Money;
pub use hansang::{
    auth, clock, coupon, delivery, event, member, mileage, mypage, notification, order, payment,
    product,
};

/// All contracts with their options and comments, as an encoded
/// `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// All contracts, and who may call each of their methods.
pub static API: schema::Api = schema::Api {
    descriptors: DESCRIPTORS,
    access: include!(concat!(env!("OUT_DIR"), "/access.rs")),
};

/// What `base::Money` needs to read and write money without knowing this crate.
mod money {
    use super::Money;

    impl Money {
        /// `currencyCode`, `units`, `nanos`.
        pub fn parts(&self) -> (&str, i64, i32) {
            (&self.currency_code, self.units, self.nanos)
        }
    }

    impl From<(&'static str, i64)> for Money {
        fn from((code, units): (&'static str, i64)) -> Self {
            Self { currency_code: code.to_owned(), units, nanos: 0 }
        }
    }
}
