//! What order says no with.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use base::{Refuse, error::Kind};

/// What order says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the order is closed")]
    Closed,
    #[error("the goods are with the carrier: the order can no longer be cancelled")]
    Dispatched,
    #[error("the order is cancelled")]
    Cancelled,
    #[error("the order is being cancelled")]
    Cancelling,
    #[error("the goods are not on their way yet")]
    NotDelivering,
    #[error("one of the products is no longer on sale")]
    NotOnSale,
    #[error("the prices have changed")]
    PriceChanged,
    #[error("the order was not placed")]
    NotPlaced,
    #[error("there are orders under way: close or cancel them first")]
    OpenOrders,
    #[error("the membership has ended")]
    MemberWithdrawn,
    #[error(
        "payment has not said anything about the order yet; try again in a moment, or cancel all of it"
    )]
    PaymentPending,
    #[error("the deposit is confirmed: only the shop can cancel it")]
    DepositConfirmed,
    #[error("another cancellation or return of this order is under way; try again in a moment")]
    PartUnderWay,
    #[error("only {left} are left to be taken back")]
    LinesTaken { left: i32 },
    #[error("the goods have not arrived yet")]
    NotDelivered,
    #[error("the time to ask for a return is over")]
    ReturnPeriodOver,
    #[error("the return is accepted")]
    ReturnAccepted,
    #[error("the return is rejected")]
    ReturnRejected,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::MemberWithdrawn => Kind::Unauthenticated,
            Self::NotPlaced => Kind::NotFound,
            Self::PartUnderWay | Self::PaymentPending => Kind::Unavailable,
            Self::Closed
            | Self::Dispatched
            | Self::Cancelled
            | Self::Cancelling
            | Self::NotDelivering
            | Self::OpenOrders
            | Self::NotOnSale
            | Self::PriceChanged
            | Self::DepositConfirmed
            | Self::LinesTaken { .. }
            | Self::NotDelivered
            | Self::ReturnPeriodOver
            | Self::ReturnAccepted
            | Self::ReturnRejected => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "ORDER_CLOSED",
            Self::Dispatched => "ORDER_DISPATCHED",
            Self::Cancelled => "ORDER_CANCELLED",
            Self::Cancelling => "ORDER_CANCELLING",
            Self::NotDelivering => "NOT_DELIVERING",
            Self::PriceChanged => "PRICE_CHANGED",
            Self::NotPlaced => "NOT_PLACED",
            Self::OpenOrders => "OPEN_ORDERS",
            Self::NotOnSale => "NOT_ON_SALE",
            Self::MemberWithdrawn => "MEMBER_WITHDRAWN",
            Self::PaymentPending => "PAYMENT_PENDING",
            Self::DepositConfirmed => "DEPOSIT_CONFIRMED",
            Self::PartUnderWay => "OUTCOME_PENDING",
            Self::LinesTaken { .. } => "LINES_TAKEN",
            Self::NotDelivered => "NOT_DELIVERED",
            Self::ReturnPeriodOver => "RETURN_PERIOD_OVER",
            Self::ReturnAccepted => "RETURN_ACCEPTED",
            Self::ReturnRejected => "RETURN_REJECTED",
        }
    }
}
