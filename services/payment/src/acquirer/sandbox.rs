//! An acquirer that charges nobody: `tok_declined` is declined, all else approved.

use super::{Charge, Charged};

/// What this acquirer says to a charge.
pub(crate) fn charge(charge: &Charge) -> Charged {
    if charge.token == "tok_declined" {
        Charged::Declined
    } else {
        Charged::Yes(format!("sandbox-{}", charge.key))
    }
}
