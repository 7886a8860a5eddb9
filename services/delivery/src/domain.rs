//! The life of a delivery: no clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

base::id!(
    /// Identifies a delivery.
    DeliveryId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Started,
    Completed,
    Cancelled,
    /// The order was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(State, constraint delivery_state:
    New = "NEW", Started = "STARTED", Completed = "COMPLETED", Cancelled = "CANCELLED",
    Refused = "REFUSED");

/// What happened to the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Prepared,
    Closed,
    Cancelled,
}

impl State {
    /// The state after a fact; the same where it changes nothing.
    pub(crate) fn after(self, fact: Fact) -> Self {
        match (self, fact) {
            (Self::New, Fact::Prepared) => Self::Started,
            (Self::New, Fact::Cancelled) => Self::Refused,
            (Self::Started, Fact::Closed) => Self::Completed,
            (Self::Started, Fact::Cancelled) => Self::Cancelled,
            (Self::New, Fact::Closed)
            | (Self::Started, Fact::Prepared)
            | (Self::Completed | Self::Cancelled | Self::Refused, _) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_starts_once_and_ends_once() {
        let started = State::New.after(Fact::Prepared);
        assert_eq!(started, State::Started);
        assert_eq!(started.after(Fact::Prepared), State::Started);
        assert_eq!(started.after(Fact::Closed).after(Fact::Cancelled), State::Completed);
        assert_eq!(started.after(Fact::Cancelled).after(Fact::Closed), State::Cancelled);
    }

    #[test]
    fn an_order_cancelled_first_is_never_delivered() {
        assert_eq!(State::New.after(Fact::Cancelled).after(Fact::Prepared), State::Refused);
    }
}
