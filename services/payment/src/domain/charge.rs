//! The card's side of a payment: it is charged before the order is placed, and what is charged too late
//! is voided.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use std::iter;

use base::Money;

use super::{
    Method, Outcome, Payment, Refusal, State, Wallets,
    refund::{GivenBack, Tender},
};

/// Why a charge ended whose outcome nobody waited for.
pub(crate) const ABANDONED: &str = "ABANDONED";

/// What to do about a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorise {
    /// Ask the acquirer.
    Ask,
    /// It has been charged already.
    Charged,
}

impl Payment {
    /// A card is to be charged for an order that is about to be placed, and the wallet's part taken.
    pub(crate) fn authorise(
        &mut self,
        amount: Money,
        wallet: Money,
        wallets: &mut Wallets,
    ) -> Result<(Authorise, Vec<Outcome>), Refusal> {
        if self.state == State::New {
            (self.amount, self.wallet, self.method) = (amount, wallet, Method::Card);
            let mut outcomes = self.reserve(wallets)?;
            self.state = State::Authorising;
            if amount != Money::ZERO {
                return Ok((Authorise::Ask, outcomes));
            }
            // Nobody has to be asked for nothing.
            outcomes.extend(self.charged("", wallets));
            return Ok((Authorise::Charged, outcomes));
        }
        match self.state {
            // The acquirer charges a payment once, however often it is asked.
            State::Authorising if self.reason.is_empty() => Ok((Authorise::Ask, Vec::new())),
            State::Done => Ok((Authorise::Charged, Vec::new())),
            State::Declined if self.reason != ABANDONED => Err(Refusal::CardDeclined),
            State::New
            | State::Declined
            | State::Authorising
            | State::WaitingForDeposit
            | State::Confirming
            | State::Cancelled
            | State::Expired
            | State::Refused => Err(Refusal::OrderCancelled),
        }
    }

    /// The acquirer has charged the card.
    pub(crate) fn charged(&mut self, reference: &str, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state == State::Done || !self.acquirer_reference.is_empty() {
            return Vec::new();
        }
        reference.clone_into(&mut self.acquirer_reference);
        let open = self.state == State::Authorising;
        if open && self.reason.is_empty() {
            self.state = State::Done;
            return vec![Outcome::Approved];
        }
        self.state = State::Cancelled;
        let released = if open { self.release(wallets) } else { None };
        let voided = GivenBack { amount: self.amount, to: Tender::Card };
        iter::once(Outcome::Voided(voided)).chain(released).collect()
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
    pub(crate) fn not_charged(&mut self, reason: &str, wallets: &mut Wallets) -> Vec<Outcome> {
        if self.state != State::Authorising {
            return Vec::new();
        }
        // Nobody is told who was not told of it before.
        self.refuse(reason);
        self.release(wallets).into_iter().collect()
    }
}
