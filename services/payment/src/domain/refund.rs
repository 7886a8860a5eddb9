//! Money of a payment that goes back, and how far it has come.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use base::{Money, id::Uuid};

use super::{Method, OrderId, payout::Account};

base::id!(
    /// Identifies a refund, and the payout that carries it to a bank account.
    RefundId
);

/// Where money goes that is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tender {
    Card,
    Wallet,
    BankTransfer(Account),
}

impl Tender {
    /// The method that it is called by.
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Card => Method::Card,
            Self::Wallet => Method::Wallet,
            Self::BankTransfer(_) => Method::BankTransfer,
        }
    }
}

/// What is given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenBack {
    pub(crate) amount: Money,
    pub(crate) to: Tender,
}

/// How far a refund has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundState {
    Refunding,
    Refunded,
    /// Refused for good: an operator has to see to it.
    Failed,
}

pg::names!(RefundState, constraint refund_state:
    Refunding = "REFUNDING", Refunded = "REFUNDED", Failed = "FAILED");

/// A refund as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refund {
    pub(crate) id: RefundId,
    pub(crate) order: OrderId,
    pub(crate) tender: Method,
    pub(crate) amount: Money,
    pub(crate) state: RefundState,
    pub(crate) payout: Option<Uuid>,
}

impl Refund {
    /// One that has just been decided. A wallet has its money at once.
    pub(crate) fn new(order: OrderId, given_back: &GivenBack) -> Self {
        let id = RefundId(base::id::new());
        let tender = given_back.to.method();
        let (state, payout) = match tender {
            Method::Wallet => (RefundState::Refunded, None),
            Method::Card => (RefundState::Refunding, None),
            Method::BankTransfer => (RefundState::Refunding, Some(id.0)),
        };
        Self { id, order, tender, amount: given_back.amount, state, payout }
    }
}
