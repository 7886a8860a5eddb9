//! How an order ends that goes well: its goods are dispatched, and it is closed, by its member or by itself.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use super::{Fact, Milestones, Order, Refusal, State};

/// Why an order was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    MemberConfirmed,
    /// Nobody did, for some time after the delivery.
    DaysAfterDelivery,
    /// Nobody did, nor said that the goods had arrived, for some time after the delivery had started.
    DaysAfterStart,
}

pg::names!(CloseReason, constraint orders_close_reason:
    MemberConfirmed = "MEMBER_CONFIRMED", DaysAfterDelivery = "DAYS_AFTER_DELIVERY",
    DaysAfterStart = "DAYS_AFTER_START");

impl Order {
    /// A carrier is about to have the goods: from then on the member cannot cancel. What comes first
    /// counts, this or a cancellation.
    pub(crate) fn record_dispatch(&mut self) -> Result<Milestones, Refusal> {
        match self.state() {
            State::Cancelled(_) => Err(Refusal::Cancelled),
            _ if self.facts.dispatched => Ok(Vec::new()),
            // Some of the goods may not be on their way.
            _ if self.parts.under_way.is_some() => Err(Refusal::Cancelling),
            // Delivery may be ahead: that it has started is still to be heard of.
            State::Prepared | State::Delivering | State::Delivered => {
                Ok(self.learn(Fact::Dispatched))
            }
            State::Closed => Err(Refusal::Closed),
            State::Cancelling => Err(Refusal::Cancelling),
            State::Pending
            | State::Aborting
            | State::Placed
            | State::AwaitingDeposit
            | State::Paid => Err(Refusal::NotDelivering),
        }
    }

    /// The time for closing it is up, counted from the start of its delivery, or from its arrival.
    /// `None`: not yet, since some of it is taken back or it is being cancelled, or has still to hear that it
    /// is on its way.
    pub(crate) fn close_by_itself(&mut self, reason: CloseReason) -> Option<Milestones> {
        let due = match (self.state(), reason) {
            (State::Delivering, CloseReason::DaysAfterStart)
            | (State::Delivered, CloseReason::DaysAfterDelivery) => {
                if self.parts.is_open() {
                    return None;
                }
                true
            }
            // It is counted from something else by now, or has ended.
            (State::Delivering | State::Delivered | State::Closed | State::Cancelled(_), _) => {
                false
            }
            (
                State::Pending
                | State::Aborting
                | State::Placed
                | State::AwaitingDeposit
                | State::Paid
                | State::Prepared
                | State::Cancelling,
                _,
            ) => return None,
        };
        if due {
            self.facts.closed = Some(reason);
        }
        Some(self.pass())
    }

    /// The goods have arrived, as the member says.
    pub(crate) fn confirm_receipt(&mut self) -> Result<Milestones, Refusal> {
        match self.state() {
            State::Closed => Ok(Vec::new()),
            State::Delivering | State::Delivered => {
                self.facts.closed = Some(CloseReason::MemberConfirmed);
                Ok(self.pass())
            }
            State::Cancelled(_) => Err(Refusal::Cancelled),
            State::Cancelling => Err(Refusal::Cancelling),
            State::Pending
            | State::Aborting
            | State::Placed
            | State::AwaitingDeposit
            | State::Paid
            | State::Prepared => Err(Refusal::NotDelivering),
        }
    }
}
