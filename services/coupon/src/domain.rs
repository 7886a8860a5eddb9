//! What becomes of a member's sign-up, which decides whether they may hold coupons: no
//! clock, no network, no SQL. `coupon` has the life of each, `terms` what it is good for.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

pub(crate) mod coupon;
pub(crate) mod terms;

base::id!(
    /// Identifies a coupon.
    CouponId
);
base::id!(
    /// Identifies a policy.
    PolicyId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// How far a member has come, and the coupon for signing up with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Issued,
    Cancelled,
    /// The member withdrew first: whatever comes later is refused.
    Refused,
}

pg::names!(State, constraint coupon_state:
    New = "NEW", Issued = "ISSUED", Cancelled = "CANCELLED", Refused = "REFUSED");

/// What happened to the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Registered,
    Withdrawing,
}

impl State {
    /// The state after a fact; the same where it changes nothing.
    pub(crate) fn after(self, fact: Fact) -> Self {
        match (self, fact) {
            (Self::New, Fact::Registered) => Self::Issued,
            (Self::New, Fact::Withdrawing) => Self::Refused,
            (Self::Issued, Fact::Withdrawing) => Self::Cancelled,
            (Self::Issued, Fact::Registered) | (Self::Cancelled | Self::Refused, _) => self,
        }
    }

    /// Whether the member has withdrawn, and may hold no coupon.
    pub(crate) fn withdrawn(self) -> bool {
        match self {
            Self::Cancelled | Self::Refused => true,
            Self::New | Self::Issued => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coupon_is_issued_once_and_cancelled_once() {
        let issued = State::New.after(Fact::Registered);
        assert_eq!(issued, State::Issued);
        assert_eq!(issued.after(Fact::Registered), State::Issued);
        let cancelled = issued.after(Fact::Withdrawing);
        assert_eq!(cancelled, State::Cancelled);
        assert_eq!(cancelled.after(Fact::Withdrawing).after(Fact::Registered), State::Cancelled);
    }

    #[test]
    fn a_member_who_withdrew_first_gets_none() {
        assert_eq!(State::New.after(Fact::Withdrawing).after(Fact::Registered), State::Refused);
    }

    #[test]
    fn in_whatever_order_facts_come_no_withdrawing_member_holds_a_coupon() {
        for length in 1..=8 {
            // Each bit is a fact: all histories of this length.
            for history in 0..1_u32 << length {
                let (mut state, mut withdrawing, mut issued) = (State::New, false, 0);
                for at in 0..length {
                    let gone = history & (1 << at) != 0;
                    let fact = if gone { Fact::Withdrawing } else { Fact::Registered };
                    let before = state;
                    state = before.after(fact);
                    withdrawing |= gone;
                    issued += i32::from(state == State::Issued && before != State::Issued);
                    assert_eq!(state == State::Issued, !withdrawing, "{history:b}");
                    assert_ne!(state, State::New, "{history:b}");
                }
                assert!(issued <= 1, "{history:b}");
            }
        }
    }
}
