//! The life of a delivery: no clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use std::ops::RangeInclusive;

use base::{Error, Refuse, error::Kind, input::Text};

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

/// What a carrier is called.
pub(crate) const CARRIER: Text = Text::new(1, 50);
/// What a carrier knows a parcel by.
const TRACKING_NUMBER: Text = Text::new(1, 50);
/// How large a carrier's notice may be, in bytes.
pub(crate) const NOTICE: RangeInclusive<usize> = 0..=10_000;

/// A parcel on its way: who carries it, and what they know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) carrier: String,
    pub(crate) tracking_number: String,
}

impl Parcel {
    pub(crate) fn parse(carrier: &str, tracking_number: &str) -> Result<Self, Error> {
        Ok(Self {
            carrier: CARRIER.parse("carrier", carrier)?.to_owned(),
            tracking_number: TRACKING_NUMBER.parse("trackingNumber", tracking_number)?.to_owned(),
        })
    }
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Started,
    Dispatched,
    Delivered,
    Completed,
    Cancelled,
    /// The order was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(State, constraint delivery_state:
    New = "NEW", Started = "STARTED", Dispatched = "DISPATCHED", Delivered = "DELIVERED",
    Completed = "COMPLETED", Cancelled = "CANCELLED", Refused = "REFUSED");

/// What happened to the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Prepared,
    Closed,
    Cancelled,
}

/// How far a delivery has come, and with which parcel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) state: State,
    /// Set while it is STARTED: of a dispatch that order has not agreed to yet.
    pub(crate) parcel: Option<Parcel>,
    /// Calls to order that may be under way; above 0 only while it is STARTED.
    pub(crate) dispatch_attempts: i32,
}

impl Progress {
    /// Takes in a fact. True when it changed the state.
    pub(crate) fn learn(&mut self, fact: Fact) -> bool {
        let state = match (self.state, fact) {
            (State::New, Fact::Prepared) => State::Started,
            (State::New, Fact::Cancelled) => State::Refused,
            (State::Started | State::Dispatched | State::Delivered, Fact::Closed) => {
                State::Completed
            }
            (State::Started | State::Dispatched | State::Delivered, Fact::Cancelled) => {
                State::Cancelled
            }
            (State::New, Fact::Closed)
            | (State::Started | State::Dispatched | State::Delivered, Fact::Prepared)
            | (State::Completed | State::Cancelled | State::Refused, _) => return false,
        };
        if self.state == State::Started {
            // A dispatch that order has not agreed to yet is over.
            self.give_up();
        }
        self.state = state;
        true
    }

    /// A carrier has the parcel; order decides. Answers this attempt's number, or `None` when the delivery
    /// went with this parcel already.
    pub(crate) fn begin_dispatch(&mut self, parcel: &Parcel) -> Result<Option<i32>, Refusal> {
        let same = self.parcel.as_ref() == Some(parcel);
        match self.state {
            State::New | State::Refused => Err(Refusal::NotStarted),
            State::Cancelled => Err(Refusal::Cancelled),
            State::Dispatched | State::Delivered | State::Completed if same => Ok(None),
            State::Completed if self.parcel.is_none() => Err(Refusal::Completed),
            State::Dispatched | State::Delivered | State::Completed => {
                Err(Refusal::AlreadyDispatched)
            }
            State::Started if self.dispatch_attempts > 0 && !same => Err(Refusal::DispatchPending),
            State::Started => {
                self.parcel = Some(parcel.clone());
                self.dispatch_attempts = self.dispatch_attempts.saturating_add(1);
                Ok(Some(self.dispatch_attempts))
            }
        }
    }

    /// Takes up a dispatch that is under way. Answers its parcel and this attempt's number, or `None` when
    /// none is.
    pub(crate) fn join_dispatch(&mut self) -> Option<(Parcel, i32)> {
        let parcel = self.parcel.clone().filter(|_| self.dispatch_attempts > 0)?;
        self.dispatch_attempts = self.dispatch_attempts.saturating_add(1);
        Some((parcel, self.dispatch_attempts))
    }

    /// Order has agreed: the delivery is on its way. True when it was not before.
    pub(crate) fn dispatched(&mut self, parcel: &Parcel) -> Result<bool, Refusal> {
        match self.state {
            State::Started => {
                (self.state, self.dispatch_attempts) = (State::Dispatched, 0);
                self.parcel = Some(parcel.clone());
                Ok(true)
            }
            State::Dispatched | State::Delivered => Ok(false),
            // Closed since: it went with this parcel all the same.
            State::Completed => {
                self.parcel.get_or_insert_with(|| parcel.clone());
                Ok(false)
            }
            // By the shop, since.
            State::Cancelled => Err(Refusal::Cancelled),
            State::New | State::Refused => Err(Refusal::NotStarted),
        }
    }

    /// Order has refused: the delivery is as it was.
    pub(crate) fn dispatch_refused(&mut self) {
        if self.state == State::Started {
            self.give_up();
        }
    }

    /// The call to order never ran. The delivery is as it was, unless another attempt joined: then its
    /// outcome counts. True when it is as it was.
    pub(crate) fn dispatch_never_ran(&mut self, attempt: i32) -> bool {
        let alone = attempt == 1 && self.dispatch_attempts == 1;
        if alone {
            self.give_up();
        }
        alone
    }

    fn give_up(&mut self) {
        (self.parcel, self.dispatch_attempts) = (None, 0);
    }

    /// The parcel has arrived. True when that was not known before.
    pub(crate) fn deliver(&mut self, known: bool) -> Result<bool, Refusal> {
        match self.state {
            State::Dispatched => {
                self.state = State::Delivered;
                Ok(true)
            }
            State::Delivered => Ok(false),
            State::Completed if known => Ok(false),
            State::Completed => Err(Refusal::Completed),
            State::Started => Err(Refusal::NotDispatched),
            State::Cancelled => Err(Refusal::Cancelled),
            State::New | State::Refused => Err(Refusal::NotStarted),
        }
    }
}

/// What delivery says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such delivery")]
    NotStarted,
    #[error("the delivery was dispatched with another carrier or tracking number")]
    AlreadyDispatched,
    #[error("the delivery is being dispatched with another carrier or tracking number")]
    DispatchPending,
    #[error("the delivery has not been dispatched yet")]
    NotDispatched,
    #[error("the order is cancelled")]
    Cancelled,
    #[error("the order is closed: its delivery has ended")]
    Completed,
    #[error(
        "the notice is not signed by a known carrier, or its timestamp is off by more than five minutes"
    )]
    BadSignature,
    #[error("there is no such parcel")]
    UnknownParcel,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::BadSignature => Kind::Unauthenticated,
            Self::NotStarted | Self::UnknownParcel => Kind::NotFound,
            Self::AlreadyDispatched
            | Self::DispatchPending
            | Self::NotDispatched
            | Self::Cancelled
            | Self::Completed => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_FOUND",
            Self::AlreadyDispatched => "ALREADY_DISPATCHED",
            Self::DispatchPending => "DISPATCH_PENDING",
            Self::NotDispatched => "NOT_DISPATCHED",
            Self::Cancelled => "ORDER_CANCELLED",
            Self::Completed => "ORDER_CLOSED",
            Self::BadSignature => "BAD_SIGNATURE",
            Self::UnknownParcel => "UNKNOWN_PARCEL",
        }
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
