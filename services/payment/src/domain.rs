//! The rules of money: all of it or none, taken back once, and never for an
//! order that was cancelled first. No clock, no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

mod charge;
pub(crate) mod deposit;
pub(crate) mod part;
pub(crate) mod payout;
pub(crate) mod refund;
mod refusal;
pub(crate) mod wallet;

use std::{
    collections::BTreeMap,
    iter,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use base::{Money, Refuse as _, id::Uuid, input::Text};

pub(crate) use self::{
    charge::{ABANDONED, Authorise},
    refusal::Refusal,
};
use self::{
    part::PartId,
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
/// How many entries of products may be taken out of an order at once.
pub(crate) const LINES: RangeInclusive<usize> = 0..=100;
/// How many of a product an order may have.
pub(crate) const QUANTITY: RangeInclusive<i32> = 1..=1_000_000_000;
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
    /// What the method pays.
    pub(crate) amount: Money,
    /// What the wallet pays beside it.
    pub(crate) wallet: Money,
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
    /// What the method pays, without what went back for parts.
    pub(crate) amount: Money,
    /// What the wallet pays beside it: taken when the payment begins, and held until it ends.
    pub(crate) wallet: Money,
    /// What went back of what the method had paid, for parts.
    pub(crate) refunded: Money,
    pub(crate) wallet_refunded: Money,
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
    Voided(GivenBack),
    /// The wallet's part was taken, and is held.
    Reserved,
    /// And is back, since the payment came to nothing.
    Released,
    /// The wallet's part of a payment that was taken back.
    WalletRefunded(GivenBack),
    /// Less is waited for, and the wallet has so much of its part again.
    Reduced {
        part: PartId,
        wallet: Money,
    },
    /// Some of what was paid goes back, and the rest stays paid.
    PartRefunded {
        part: PartId,
        by_method: Option<GivenBack>,
        by_wallet: Option<GivenBack>,
    },
}

/// Who wants an order cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Member,
    Shop,
}

impl Payment {
    /// What the order costs, without what went back for parts.
    pub(crate) fn total(&self) -> Money {
        self.amount.plus(self.wallet).expect("both are parts of what an order may cost")
    }

    /// What the method paid, or is to pay, and what the wallet does: with what went back for parts.
    pub(crate) fn paid(&self) -> (Money, Money) {
        let sum = |left: Money, back| left.plus(back).expect("no more than an order may cost");
        (sum(self.amount, self.refunded), sum(self.wallet, self.wallet_refunded))
    }

    /// Where what the method paid goes back to.
    fn tender(&self, account: Option<Account>) -> Tender {
        match (self.method, account) {
            (Method::Card, _) => Tender::Card,
            (Method::BankTransfer, Some(account)) => Tender::BankTransfer(account),
            (Method::Wallet | Method::BankTransfer, _) => Tender::Wallet,
        }
    }

    /// The order is placed: take the money, or wait for it.
    pub(crate) fn placed(&mut self, placed: Placed, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state != State::New {
            return Vec::new();
        }
        (self.amount, self.wallet) = (placed.amount, placed.wallet);
        (self.method, self.lines) = (placed.method, placed.lines);
        match self.method {
            Method::Wallet => vec![self.debit(wallets)],
            Method::BankTransfer => {
                let Ok(mut outcomes) = self.reserve(wallets) else {
                    return vec![self.refuse(Refusal::InsufficientBalance.reason())];
                };
                if self.amount == Money::ZERO {
                    // Nothing is waited for that is nothing.
                    self.state = State::Done;
                    outcomes.push(Outcome::Approved);
                } else {
                    self.state = State::WaitingForDeposit;
                    self.deposit_due = Some(placed.deposit_due);
                    self.reference = placed.reference;
                    outcomes.push(Outcome::DepositRequested);
                }
                outcomes
            }
            // Charged before the order was placed; without that there is no such order.
            Method::Card => vec![self.refuse("CARD_DECLINED")],
        }
    }

    /// Takes the wallet's part.
    fn reserve(&mut self, wallets: &mut Wallets) -> Result<Vec<Outcome>, Refusal> {
        if self.wallet == Money::ZERO {
            return Ok(Vec::new());
        }
        let balance = wallets.get_mut(&self.member).ok_or(Refusal::InsufficientBalance)?;
        let rest = balance.minus(self.wallet).filter(|rest| !rest.is_negative());
        *balance = rest.ok_or(Refusal::InsufficientBalance)?;
        Ok(vec![Outcome::Reserved])
    }

    /// Gives the wallet's part back, of a payment that has begun and come to nothing.
    fn release(&self, wallets: &mut Wallets) -> Option<Outcome> {
        if self.wallet == Money::ZERO {
            return None;
        }
        put_back(wallets, self.member, self.wallet);
        Some(Outcome::Released)
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
    ) -> Vec<Outcome> {
        match self.state {
            State::New => {
                self.state = State::Refused;
                Vec::new()
            }
            State::Authorising | State::Confirming => {
                reason.clone_into(&mut self.reason);
                Vec::new()
            }
            State::WaitingForDeposit => self.end(reason, wallets),
            State::Done => {
                let to = self.tender(account);
                let amount = self.amount;
                if to == Tender::Wallet && amount != Money::ZERO {
                    put_back(wallets, self.member, amount);
                }
                let given_back = (amount != Money::ZERO).then_some(GivenBack { amount, to });
                let mut outcomes = vec![self.cancel(reason, given_back)];
                if self.wallet != Money::ZERO {
                    put_back(wallets, self.member, self.wallet);
                    let given_back = GivenBack { amount: self.wallet, to: Tender::Wallet };
                    outcomes.push(Outcome::WalletRefunded(given_back));
                }
                outcomes
            }
            State::Declined | State::Cancelled | State::Expired | State::Refused => Vec::new(),
        }
    }

    /// Nothing was paid but the wallet's part, which goes back.
    fn end(&mut self, reason: &str, wallets: &mut Wallets) -> Vec<Outcome> {
        let cancelled = self.cancel(reason, None);
        iter::once(cancelled).chain(self.release(wallets)).collect()
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
    ) -> Result<Vec<Outcome>, Refusal> {
        match (self.state, self.method, by) {
            (State::Confirming, ..) => Err(Refusal::Confirming),
            (State::Done, Method::BankTransfer, By::Member) => Err(Refusal::DepositConfirmed),
            (.., By::Member) => Ok(self.cancelled("MEMBER_REQUEST", account, wallets)),
            (.., By::Shop) => Ok(self.cancelled("SHOP_REQUEST", account, wallets)),
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
            (State::Done, Method::BankTransfer) if amount != self.paid().0 => {
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
    pub(crate) fn confirm_refused(&mut self, reason: &str, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state != State::Confirming {
            return Vec::new();
        }
        self.end(reason, wallets)
    }

    /// The call to product never ran. The payment waits as before, unless another attempt joined:
    /// then its outcome counts. True when it waits.
    pub(crate) fn confirm_never_ran(
        &mut self,
        attempt: i32,
        wallets: &mut Wallets,
    ) -> (bool, Vec<Outcome>) {
        if self.state != State::Confirming || attempt != 1 || self.attempts != 1 {
            return (false, Vec::new());
        }
        self.attempts = 0;
        self.state = State::WaitingForDeposit;
        let reason = std::mem::take(&mut self.reason);
        let wish = if reason.is_empty() { Vec::new() } else { self.end(&reason, wallets) };
        (true, wish)
    }

    /// The time for a deposit is over.
    pub(crate) fn expire(&mut self, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state != State::WaitingForDeposit {
            return Vec::new();
        }
        self.state = State::Expired;
        "DEPOSIT_EXPIRED".clone_into(&mut self.reason);
        iter::once(Outcome::Expired).chain(self.release(wallets)).collect()
    }
}

/// Puts money into a wallet that came out of it, or was a deposit.
fn put_back(wallets: &mut Wallets, member: MemberId, amount: Money) {
    let balance = wallets.entry(member).or_insert(Money::ZERO);
    *balance =
        balance.plus(amount).expect("it would take nine thousand million top-ups to pay so much");
}

/// How long a deposit is waited for when nothing else is configured.
pub(crate) const DEPOSIT_WITHIN: Duration = Duration::from_hours(7 * 24);

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
