//! An acquirer that charges nobody: `tok_declined` is declined, all else approved.

use super::{Charge, Charged};

#[derive(Clone, Copy)]
pub(crate) struct Sandbox;

impl Sandbox {
    pub(crate) fn charge(self, charge: &Charge<'_>) -> Charged {
        if charge.token == "tok_declined" {
            Charged::Declined
        } else {
            Charged::Yes(format!("sandbox-{}", charge.payment))
        }
    }
}
