//! Money of a payment that goes back, and how far it has come.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use base::{Money, id::Uuid};

use super::{Method, OrderId, Outcome, part::PartId, payout::Account};

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
    /// The part that it is for; none: what was left of the whole payment.
    pub(crate) part: Option<PartId>,
}

impl Refund {
    /// One that has just been decided. A wallet has its money at once.
    pub(crate) fn new(order: OrderId, given_back: &GivenBack, part: Option<PartId>) -> Self {
        let id = RefundId(base::id::new());
        let tender = given_back.to.method();
        let (state, payout) = match tender {
            Method::Wallet => (RefundState::Refunded, None),
            Method::Card => (RefundState::Refunding, None),
            Method::BankTransfer => (RefundState::Refunding, Some(id.0)),
        };
        Self { id, order, tender, amount: given_back.amount, state, payout, part }
    }
}

impl Outcome {
    /// What it gives back, each by a refund of its own, and the part that it is for.
    pub(crate) fn gives_back(&self) -> (Vec<&GivenBack>, Option<PartId>) {
        match self {
            Self::Cancelled(given_back) => (given_back.iter().collect(), None),
            Self::WalletRefunded(given_back) => (vec![given_back], None),
            Self::PartRefunded { part, by_method, by_wallet } => {
                (by_method.iter().chain(by_wallet).collect(), Some(*part))
            }
            Self::DepositRequested
            | Self::Approved
            | Self::Declined
            | Self::Expired
            | Self::Voided
            | Self::Reserved
            | Self::Released
            | Self::Reduced { .. } => (Vec::new(), None),
        }
    }
}
