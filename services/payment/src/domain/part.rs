//! A part of a payment goes back, for pieces of the order that were cancelled or returned; or less is
//! waited for, when nothing has been paid yet.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use base::Money;

use super::{
    By, Line, Method, Outcome, Payment, Refusal, State, Wallets,
    payout::Account,
    put_back,
    refund::{GivenBack, Tender},
};

base::id!(
    /// Identifies a part: the cancellation, or the return.
    PartId
);

/// What pieces of an order bear of its payment.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) id: PartId,
    /// What the method paid of it, or is to pay.
    pub(crate) amount: Money,
    /// What the wallet paid beside it.
    pub(crate) wallet: Money,
    /// What is not needed from the stock, if it has not been taken yet.
    pub(crate) lines: Vec<Line>,
    pub(crate) by: By,
    /// Where the money of a bank transfer goes; none: to the wallet.
    pub(crate) account: Option<Account>,
}

impl Payment {
    /// Pieces of the order go: gives back what they bear, or waits for so much less.
    pub(crate) fn refund_part(
        &mut self,
        part: Part,
        wallets: &mut Wallets,
    ) -> Result<Vec<Outcome>, Refusal> {
        match (self.state, self.method, part.by) {
            (State::New, ..) => Err(Refusal::PaymentPending),
            (State::Authorising, ..) => Err(Refusal::Authorising),
            (State::Confirming, ..) => Err(Refusal::Confirming),
            (State::WaitingForDeposit, ..) => self.reduce(&part, wallets),
            (State::Done, Method::BankTransfer, By::Member) => Err(Refusal::DepositConfirmed),
            (State::Done, ..) => self.give_back(part, wallets).map(|outcome| vec![outcome]),
            (State::Declined | State::Cancelled | State::Expired | State::Refused, ..) => {
                Err(Refusal::PaymentCancelled)
            }
        }
    }

    /// Less is due, and less is going to be taken from the stock; the wallet has its part of it again.
    fn reduce(&mut self, part: &Part, wallets: &mut Wallets) -> Result<Vec<Outcome>, Refusal> {
        let (amount, wallet) = self.without(part.amount, part.wallet)?;
        self.lines = without(&self.lines, &part.lines).ok_or(Refusal::MoreThanIsLeft)?;
        (self.amount, self.wallet) = (amount, wallet);
        if part.wallet != Money::ZERO {
            put_back(wallets, self.member, part.wallet);
        }
        let mut outcomes = vec![Outcome::Reduced { part: part.id, wallet: part.wallet }];
        if amount == Money::ZERO {
            // As when an order is placed: nothing is waited for that is nothing.
            self.state = State::Done;
            outcomes.push(Outcome::Approved);
        }
        Ok(outcomes)
    }

    /// What was paid goes back: that of the method as when all is cancelled, that of the wallet to it.
    fn give_back(&mut self, part: Part, wallets: &mut Wallets) -> Result<Outcome, Refusal> {
        let (amount, wallet) = match self.method {
            // Its two are one sum.
            Method::Wallet => (part.amount.plus(part.wallet), Money::ZERO),
            Method::Card | Method::BankTransfer => (Some(part.amount), part.wallet),
        };
        let amount = amount.ok_or(Refusal::MoreThanIsLeft)?;
        (self.amount, self.wallet) = self.without(amount, wallet)?;
        let sum = |before: Money, more| before.plus(more).expect("no more than was ever paid");
        self.refunded = sum(self.refunded, amount);
        self.wallet_refunded = sum(self.wallet_refunded, wallet);
        let given_back = |amount, to| (amount != Money::ZERO).then_some(GivenBack { amount, to });
        let by_method = given_back(amount, self.tender(part.account));
        let by_wallet = given_back(wallet, Tender::Wallet);
        for given_back in [&by_method, &by_wallet].into_iter().flatten() {
            if given_back.to == Tender::Wallet {
                put_back(wallets, self.member, given_back.amount);
            }
        }
        Ok(Outcome::PartRefunded { part: part.id, by_method, by_wallet })
    }

    /// What is left of what method and wallet pay without so much.
    fn without(&self, amount: Money, wallet: Money) -> Result<(Money, Money), Refusal> {
        let left = |of: Money, less: Money| of.minus(less).filter(|left| !left.is_negative());
        let left = left(self.amount, amount).zip(left(self.wallet, wallet));
        left.ok_or(Refusal::MoreThanIsLeft)
    }
}

/// What is left of lines without these pieces; none when there are fewer of them, or when nothing is.
fn without(lines: &[Line], pieces: &[Line]) -> Option<Vec<Line>> {
    let mut left = lines.to_vec();
    for piece in pieces {
        let mut wanted = piece.quantity;
        for line in left.iter_mut().filter(|line| line.product == piece.product) {
            let taken = line.quantity.min(wanted);
            line.quantity = line.quantity.saturating_sub(taken);
            wanted = wanted.saturating_sub(taken);
        }
        if wanted > 0 {
            return None;
        }
    }
    left.retain(|line| line.quantity > 0);
    (!left.is_empty() || lines.is_empty()).then_some(left)
}

#[cfg(test)]
#[path = "../part_tests.rs"]
mod tests;
