//! The rules of money: all of it or none, taken back once, and never for an
//! order that was cancelled first. No clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

pub(crate) mod deposit;
pub(crate) mod payout;
pub(crate) mod refund;
pub(crate) mod wallet;

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use base::{
    Money, Refuse,
    error::Kind,
    id::Uuid,
    input::{self, Text},
};

use self::{
    payout::Account,
    refund::{GivenBack, Tender},
};

base::id!(
    /// Identifies a payment.
    PaymentId
);
base::id!(
    /// Identifies an order; of the order context.
    OrderId
);
base::id!(
    /// Identifies a member; of the member context.
    MemberId
);

/// What an order may cost, in won.
pub(crate) const AMOUNT: RangeInclusive<i64> = 0..=1_000_000_000_000;
/// What an acquirer may know a card by.
pub(crate) const CARD_TOKEN: Text = Text::new(1, 200);
/// What a depositor may be called.
pub(crate) const DEPOSITOR: Text = Text::new(1, 100);

/// How an order is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Wallet,
    BankTransfer,
}

pg::names!(Method, constraint payment_method:
    Card = "CARD", Wallet = "WALLET", BankTransfer = "BANK_TRANSFER");

/// How far a payment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    /// The acquirer is being asked.
    Authorising,
    WaitingForDeposit,
    /// The deposit is there; product is being asked for the goods.
    Confirming,
    Done,
    Declined,
    Cancelled,
    Expired,
    /// The order was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(State, constraint payment_state:
    New = "NEW", Authorising = "AUTHORISING", WaitingForDeposit = "WAITING_FOR_DEPOSIT",
    Confirming = "CONFIRMING", Done = "DONE", Declined = "DECLINED", Cancelled = "CANCELLED",
    Expired = "EXPIRED", Refused = "REFUSED");

/// Units of one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) product: Uuid,
    /// 1 or more.
    pub(crate) quantity: i32,
}

/// What a placed order asks of payment.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) amount: Money,
    pub(crate) method: Method,
    pub(crate) lines: Vec<Line>,
    /// Until when a deposit is waited for.
    pub(crate) deposit_due: SystemTime,
    /// What the depositor writes.
    pub(crate) reference: String,
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
    /// Why it was declined or cancelled; while the outcome is open, why it shall be cancelled then.
    pub(crate) reason: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) deposit_due: Option<SystemTime>,
    /// What the depositor writes.
    pub(crate) reference: String,
    pub(crate) depositor: String,
    /// Calls to product that may be under way.
    pub(crate) attempts: i32,
    /// What the acquirer knows a card payment by.
    pub(crate) acquirer_reference: String,
}

/// Members' balances; a member without a wallet has none.
pub(crate) type Wallets = BTreeMap<MemberId, Money>;

/// What a decision changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    DepositRequested,
    Approved,
    Declined,
    /// Taken back, and what had been paid given back.
    Cancelled(Option<GivenBack>),
    Expired,
    /// Charged after all, when nobody wanted it any more: to be voided in silence.
    Voided,
}

/// Who wants an order cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Member,
    Shop,
}

/// What to do about a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorise {
    /// Ask the acquirer.
    Ask,
    /// It has been charged already.
    Charged,
}

impl Payment {
    /// The order is placed: take the money, or wait for it.
    pub(crate) fn placed(&mut self, placed: Placed, wallets: &mut Wallets) -> Option<Outcome> {
        if self.state != State::New {
            return None;
        }
        (self.amount, self.method, self.lines) = (placed.amount, placed.method, placed.lines);
        match self.method {
            Method::Wallet => Some(self.debit(wallets)),
            // Nothing is waited for that is nothing.
            Method::BankTransfer if self.amount == Money::ZERO => {
                self.state = State::Done;
                Some(Outcome::Approved)
            }
            Method::BankTransfer => {
                self.state = State::WaitingForDeposit;
                self.deposit_due = Some(placed.deposit_due);
                self.reference = placed.reference;
                Some(Outcome::DepositRequested)
            }
            // Charged before the order was placed; without that there is no such order.
            Method::Card => Some(self.refuse("CARD_DECLINED")),
        }
    }

    fn debit(&mut self, wallets: &mut Wallets) -> Outcome {
        let balance = wallets.get(&self.member).copied().unwrap_or(Money::ZERO);
        let Some(rest) = balance.minus(self.amount).filter(|rest| !rest.is_negative()) else {
            return self.refuse(Refusal::InsufficientBalance.reason());
        };
        // Without a wallet there is nothing to take 0 won from.
        wallets.entry(self.member).and_modify(|balance| *balance = rest);
        self.state = State::Done;
        Outcome::Approved
    }

    fn refuse(&mut self, reason: &str) -> Outcome {
        self.state = State::Declined;
        reason.clone_into(&mut self.reason);
        Outcome::Declined
    }

    /// The order is cancelled: give the money back, now or as soon as the outcome is known. That of a
    /// bank transfer goes to `account`, or to the wallet when there is none.
    pub(crate) fn cancelled(
        &mut self,
        reason: &str,
        account: Option<Account>,
        wallets: &mut Wallets,
    ) -> Option<Outcome> {
        match self.state {
            State::New => {
                self.state = State::Refused;
                None
            }
            State::Authorising | State::Confirming => {
                reason.clone_into(&mut self.reason);
                None
            }
            State::WaitingForDeposit => Some(self.cancel(reason, None)),
            State::Done => {
                let to = match (self.method, account) {
                    (Method::Card, _) => Tender::Card,
                    (Method::BankTransfer, Some(account)) => Tender::BankTransfer(account),
                    (Method::Wallet | Method::BankTransfer, _) => Tender::Wallet,
                };
                let amount = self.amount;
                if to == Tender::Wallet && amount != Money::ZERO {
                    let balance = wallets.entry(self.member).or_insert(Money::ZERO);
                    *balance = balance
                        .plus(amount)
                        .expect("it would take nine thousand million top-ups to pay so much");
                }
                let given_back = (amount != Money::ZERO).then_some(GivenBack { amount, to });
                Some(self.cancel(reason, given_back))
            }
            State::Declined | State::Cancelled | State::Expired | State::Refused => None,
        }
    }

    fn cancel(&mut self, reason: &str, given_back: Option<GivenBack>) -> Outcome {
        self.state = State::Cancelled;
        self.attempts = 0;
        reason.clone_into(&mut self.reason);
        Outcome::Cancelled(given_back)
    }

    /// The order asks whether it may be cancelled, by its member or by the shop.
    pub(crate) fn ask_cancel(
        &mut self,
        by: By,
        account: Option<Account>,
        wallets: &mut Wallets,
    ) -> Result<Option<Outcome>, Refusal> {
        match (self.state, self.method, by) {
            (State::Confirming, ..) => Err(Refusal::Confirming),
            (State::Done, Method::BankTransfer, By::Member) => Err(Refusal::DepositConfirmed),
            (.., By::Member) => Ok(self.cancelled("MEMBER_REQUEST", account, wallets)),
            (.., By::Shop) => Ok(self.cancelled("SHOP_REQUEST", account, wallets)),
        }
    }

    /// A card is to be charged for an order that is about to be placed.
    pub(crate) fn authorise(&mut self, amount: Money) -> Result<Authorise, Refusal> {
        match self.state {
            State::New => {
                (self.amount, self.method) = (amount, Method::Card);
                self.state = State::Authorising;
                Ok(Authorise::Ask)
            }
            // The acquirer charges a payment once, however often it is asked.
            State::Authorising if self.reason.is_empty() => Ok(Authorise::Ask),
            State::Done => Ok(Authorise::Charged),
            State::Declined if self.reason != ABANDONED => Err(Refusal::CardDeclined),
            State::Declined
            | State::Authorising
            | State::WaitingForDeposit
            | State::Confirming
            | State::Cancelled
            | State::Expired
            | State::Refused => Err(Refusal::OrderCancelled),
        }
    }

    /// The acquirer has charged the card.
    pub(crate) fn charged(&mut self, reference: &str) -> Option<Outcome> {
        if self.state == State::Done || !self.acquirer_reference.is_empty() {
            return None;
        }
        reference.clone_into(&mut self.acquirer_reference);
        if self.state == State::Authorising && self.reason.is_empty() {
            self.state = State::Done;
            return Some(Outcome::Approved);
        }
        self.state = State::Cancelled;
        Some(Outcome::Voided)
    }

    /// Nobody waits for the outcome of the charge any more: no other attempt is made, and one that is
    /// heard of later is voided. False when there is an outcome.
    pub(crate) fn abandon(&mut self) -> bool {
        if self.state == State::Authorising && self.reason.is_empty() {
            ABANDONED.clone_into(&mut self.reason);
        }
        self.state == State::Authorising
    }

    /// The acquirer has declined, or was told to forget it.
    pub(crate) fn not_charged(&mut self, reason: &str) {
        if self.state == State::Authorising {
            self.refuse(reason);
        }
    }

    /// The seller has seen a deposit. Answers this attempt's number, or `None` when it is
    /// confirmed already.
    pub(crate) fn confirm(
        &mut self,
        amount: Money,
        depositor: &str,
        now: SystemTime,
    ) -> Result<Option<i32>, Refusal> {
        match (self.state, self.method) {
            (State::WaitingForDeposit, _) if self.deposit_due.is_some_and(|due| now >= due) => {
                Err(Refusal::DepositExpired)
            }
            (State::WaitingForDeposit | State::Confirming, _) if amount != self.amount => {
                Err(Refusal::WrongAmount(self.amount))
            }
            (State::WaitingForDeposit | State::Confirming, _) => {
                self.state = State::Confirming;
                depositor.clone_into(&mut self.depositor);
                self.attempts = self.attempts.saturating_add(1);
                Ok(Some(self.attempts))
            }
            (State::Done, Method::BankTransfer) if amount != self.amount => {
                Err(Refusal::DepositConfirmed)
            }
            (State::Done, Method::BankTransfer) => Ok(None),
            (State::Expired, _) => Err(Refusal::DepositExpired),
            (State::Cancelled, _) if self.reason == Refusal::OutOfStock.reason() => {
                Err(Refusal::OutOfStock)
            }
            (State::Cancelled | State::Declined, _) => Err(Refusal::PaymentCancelled),
            (State::New | State::Authorising | State::Done | State::Refused, _) => {
                Err(Refusal::NoDeposit)
            }
        }
    }

    /// Takes up a confirmation that is under way. Answers this attempt's number, or `None` when
    /// none is.
    pub(crate) fn join_confirm(&mut self) -> Option<i32> {
        if self.state != State::Confirming {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        Some(self.attempts)
    }

    /// Product has set the goods aside: the deposit is confirmed, and given back at once when the
    /// order was cancelled meanwhile.
    pub(crate) fn confirmed(&mut self, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state != State::Confirming {
            return Vec::new();
        }
        self.state = State::Done;
        self.attempts = 0;
        let mut outcomes = vec![Outcome::Approved];
        if !self.reason.is_empty() {
            let reason = self.reason.clone();
            outcomes.extend(self.cancelled(&reason, None, wallets));
        }
        outcomes
    }

    /// Product has refused the goods.
    pub(crate) fn confirm_refused(&mut self, reason: &str) -> Option<Outcome> {
        (self.state == State::Confirming).then(|| self.cancel(reason, None))
    }

    /// The call to product never ran. The payment waits as before, unless another attempt joined:
    /// then its outcome counts. True when it waits.
    pub(crate) fn confirm_never_ran(&mut self, attempt: i32) -> (bool, Option<Outcome>) {
        if self.state != State::Confirming || attempt != 1 || self.attempts != 1 {
            return (false, None);
        }
        self.attempts = 0;
        self.state = State::WaitingForDeposit;
        let reason = std::mem::take(&mut self.reason);
        let wish = (!reason.is_empty()).then(|| self.cancel(&reason, None));
        (true, wish)
    }

    /// The time for a deposit is over.
    pub(crate) fn expire(&mut self) -> Option<Outcome> {
        if self.state != State::WaitingForDeposit {
            return None;
        }
        self.state = State::Expired;
        "DEPOSIT_EXPIRED".clone_into(&mut self.reason);
        Some(Outcome::Expired)
    }
}

/// Why a charge ended whose outcome nobody waited for.
pub(crate) const ABANDONED: &str = "ABANDONED";
/// How long a deposit is waited for when nothing else is configured.
pub(crate) const DEPOSIT_WITHIN: Duration = Duration::from_hours(7 * 24);

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
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::WrongAmount(_) => Kind::Invalid,
            Self::Confirming | Self::TopUpAbandoned => Kind::Unavailable,
            Self::WalletFull
            | Self::InsufficientBalance
            | Self::MemberActive
            | Self::WalletNotEmpty
            | Self::CardDeclined
            | Self::OrderCancelled
            | Self::DepositConfirmed
            | Self::DepositExpired
            | Self::PaymentCancelled
            | Self::OutOfStock
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
            Self::Confirming => "CONFIRMING",
            Self::DepositConfirmed => "DEPOSIT_CONFIRMED",
            Self::DepositExpired => "DEPOSIT_EXPIRED",
            Self::PaymentCancelled => "PAYMENT_CANCELLED",
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::NoDeposit => "NO_DEPOSIT",
            Self::WrongAmount(_) => "WRONG_AMOUNT",
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::WrongAmount(_) => Some("amount.units".into()),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
