//! What payment says no with.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use base::{Money, Refuse, error::Kind, input};

use super::wallet;

/// What payment says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the wallet would hold more than {} won", input::grouped(wallet::BALANCE_MOST))]
    WalletFull,
    #[error("the wallet holds less than that")]
    InsufficientBalance,
    #[error("the acquirer did not answer in time; what it may have charged is refunded")]
    TopUpAbandoned,
    #[error("there is a balance, or money that is held or on its way out: pay it out first")]
    WalletNotEmpty,
    #[error("only what belongs to a member who has withdrawn is paid out for them")]
    MemberActive,
    #[error("the acquirer declined the card")]
    CardDeclined,
    #[error("the order was cancelled")]
    OrderCancelled,
    #[error("the card is being charged right now")]
    Authorising,
    #[error("payment has not heard of the order yet")]
    PaymentPending,
    #[error("that is more than is left of the payment")]
    MoreThanIsLeft,
    #[error("the deposit is being confirmed right now")]
    Confirming,
    #[error("the deposit is confirmed: the payment cannot be cancelled any more")]
    DepositConfirmed,
    #[error("the time for the deposit is over")]
    DepositExpired,
    #[error("the payment is cancelled")]
    PaymentCancelled,
    #[error("the goods are gone; the deposit is held")]
    OutOfStock,
    #[error("this payment waits for no deposit")]
    NoDeposit,
    #[error("must be {0}, the payment's amount")]
    WrongAmount(Money),
    #[error("the refund has not failed: it is on its way, or done")]
    RefundNotFailed,
    #[error("the acquirer is being asked for all that is left of this charge; repeat it later")]
    RefundUnderWay,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::WrongAmount(_) => Kind::Invalid,
            Self::MoreThanIsLeft => Kind::Internal,
            Self::Authorising | Self::Confirming | Self::TopUpAbandoned | Self::RefundUnderWay => {
                Kind::Unavailable
            }
            Self::WalletFull
            | Self::InsufficientBalance
            | Self::MemberActive
            | Self::WalletNotEmpty
            | Self::CardDeclined
            | Self::OrderCancelled
            | Self::PaymentPending
            | Self::DepositConfirmed
            | Self::DepositExpired
            | Self::PaymentCancelled
            | Self::OutOfStock
            | Self::RefundNotFailed
            | Self::NoDeposit => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::WalletFull => "WALLET_FULL",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::TopUpAbandoned => "ACQUIRER_UNAVAILABLE",
            Self::MemberActive => "MEMBER_ACTIVE",
            Self::WalletNotEmpty => "WALLET_NOT_EMPTY",
            Self::CardDeclined => "CARD_DECLINED",
            Self::OrderCancelled => "ORDER_CANCELLED",
            Self::Authorising => "AUTHORISING",
            Self::PaymentPending => "PAYMENT_PENDING",
            Self::MoreThanIsLeft => "MORE_THAN_IS_LEFT",
            Self::Confirming => "CONFIRMING",
            Self::DepositConfirmed => "DEPOSIT_CONFIRMED",
            Self::DepositExpired => "DEPOSIT_EXPIRED",
            Self::PaymentCancelled => "PAYMENT_CANCELLED",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::NoDeposit => "NO_DEPOSIT",
            Self::WrongAmount(_) => "WRONG_AMOUNT",
            Self::RefundNotFailed => "REFUND_NOT_FAILED",
            Self::RefundUnderWay => "REFUND_UNDER_WAY",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::WrongAmount(_) => Some("amount.units".into()),
            _ => None,
        }
    }
}
