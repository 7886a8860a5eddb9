//! The rules of money: a wallet pays in full or not at all, a payment is taken
//! back once. No clock, no network, no SQL.

use std::collections::BTreeMap;

use kit::{Money, Refuse, error::Kind};

kit::id!(
    /// Identifies a payment.
    PaymentId
);
kit::id!(
    /// Identifies an order; of the order context.
    OrderId
);
kit::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Wallet,
    BankTransfer,
}

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Done,
    Declined,
    Cancelled,
    /// The order was cancelled first: whatever comes later is refused.
    Refused,
}

/// The money side of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) id: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) method: Method,
    pub(crate) amount: Money,
    pub(crate) state: State,
    /// Why it was declined or cancelled: the order's cancel reason; empty otherwise.
    pub(crate) reason: String,
}

/// Members' balances; a member without a wallet has none.
pub(crate) type Wallets = BTreeMap<MemberId, Money>;

/// Money that moved from one account to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// From the wallet to the shop.
    Payment,
    /// From the shop back to the wallet.
    Refund,
}

/// What a decision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Approved,
    Declined,
    /// Taken back, this much.
    Cancelled(Money),
    /// Nothing that others would want to know.
    Quiet,
}

impl Outcome {
    /// The money that moved.
    pub(crate) fn transfer(&self) -> Option<Transfer> {
        match self {
            Self::Approved => Some(Transfer::Payment),
            Self::Cancelled(refunded) if *refunded != Money::ZERO => Some(Transfer::Refund),
            Self::Declined | Self::Cancelled(_) | Self::Quiet => None,
        }
    }
}

impl Payment {
    /// The order is placed: take the money, all of it or none.
    pub(crate) fn placed(&mut self, wallets: &mut Wallets) -> Outcome {
        match (self.state, self.method) {
            (State::New, Method::Wallet) => {}
            // By the order's rules there is none yet; a payment that stays NEW is not stored.
            (State::New, Method::Card | Method::BankTransfer) => return Outcome::Quiet,
            (State::Done | State::Declined | State::Cancelled | State::Refused, _) => {
                return Outcome::Quiet;
            }
        }
        let balance = wallets.get(&self.member).copied().unwrap_or(Money::ZERO);
        let Some(rest) = balance.minus(self.amount).filter(|rest| !rest.is_negative()) else {
            self.state = State::Declined;
            "INSUFFICIENT_BALANCE".clone_into(&mut self.reason);
            return Outcome::Declined;
        };
        // Without a wallet there is nothing to take 0 won from.
        wallets.entry(self.member).and_modify(|balance| *balance = rest);
        self.state = State::Done;
        Outcome::Approved
    }

    /// The order is cancelled: give the money back.
    pub(crate) fn cancelled(&mut self, reason: &str, wallets: &mut Wallets) -> Outcome {
        match self.state {
            State::New => {
                self.state = State::Refused;
                Outcome::Quiet
            }
            State::Done => {
                wallets.entry(self.member).and_modify(|balance| {
                    *balance = balance.plus(self.amount).expect("a wallet holds at most 10^15 won");
                });
                self.state = State::Cancelled;
                reason.clone_into(&mut self.reason);
                Outcome::Cancelled(self.amount)
            }
            State::Declined | State::Cancelled | State::Refused => Outcome::Quiet,
        }
    }
}

/// The most that one top-up may add.
const TOP_UP_MOST: Money = Money::krw(1_000_000_000);
/// The most that a wallet may be topped up to; what it paid before may still come back to it.
const BALANCE_MOST: Money = Money::krw(1_000_000_000_000_000);

/// A wallet's balance after a top-up.
pub(crate) fn top_up(balance: Money, amount: Money) -> Result<Money, Refusal> {
    if amount <= Money::ZERO || amount > TOP_UP_MOST {
        return Err(Refusal::TopUpAmount);
    }
    balance.plus(amount).filter(|sum| *sum <= BALANCE_MOST).ok_or(Refusal::WalletFull)
}

/// What payment says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("must be more than 0 and at most 1,000,000,000 won")]
    TopUpAmount,
    #[error("the wallet would hold more than 10^15 won")]
    WalletFull,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::TopUpAmount => Kind::Invalid,
            Self::WalletFull => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::TopUpAmount => "TOP_UP_AMOUNT",
            Self::WalletFull => "WALLET_FULL",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::TopUpAmount => Some("amount.units".into()),
            Self::WalletFull => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(amount: i64) -> Payment {
        Payment {
            id: PaymentId(kit::id::new()),
            order: OrderId(kit::id::new()),
            member: MemberId(kit::id::new()),
            method: Method::Wallet,
            amount: Money::krw(amount),
            state: State::New,
            reason: String::new(),
        }
    }

    #[test]
    fn a_short_balance_is_left_alone() {
        let mut payment = payment(1_001);
        let mut wallets = Wallets::from([(payment.member, Money::krw(1_000))]);
        assert_eq!(payment.placed(&mut wallets), Outcome::Declined);
        assert_eq!(wallets[&payment.member], Money::krw(1_000));
        assert_eq!(payment.cancelled("MEMBER_REQUEST", &mut wallets), Outcome::Quiet);
    }

    #[test]
    fn a_cancelled_payment_gives_back_all_of_it_once() {
        let mut payment = payment(600);
        let mut wallets = Wallets::from([(payment.member, Money::krw(1_000))]);
        assert_eq!(payment.placed(&mut wallets), Outcome::Approved);
        assert_eq!(payment.placed(&mut wallets), Outcome::Quiet);
        assert_eq!(wallets[&payment.member], Money::krw(400));
        let cancelled = payment.cancelled("OUT_OF_STOCK", &mut wallets);
        assert_eq!(cancelled, Outcome::Cancelled(Money::krw(600)));
        assert_eq!(payment.cancelled("MEMBER_REQUEST", &mut wallets), Outcome::Quiet);
        assert_eq!(wallets[&payment.member], Money::krw(1_000));
        assert_eq!(payment.reason, "OUT_OF_STOCK");
    }

    #[test]
    fn an_order_cancelled_first_is_never_charged() {
        let mut payment = payment(600);
        let mut wallets = Wallets::from([(payment.member, Money::krw(1_000))]);
        assert_eq!(payment.cancelled("MEMBER_REQUEST", &mut wallets), Outcome::Quiet);
        assert_eq!(payment.placed(&mut wallets), Outcome::Quiet);
        assert_eq!(payment.state, State::Refused);
        assert_eq!(wallets[&payment.member], Money::krw(1_000));
    }
}
