//! What is taken back of an order that goes on: pieces that are cancelled before they are dispatched, and
//! pieces that come back after they have arrived. Payment gives the money back, or refuses; until it has
//! said which, nothing else is taken back, and nobody is told of further milestones.
//!
//! | step | fails | then |
//! |---|---|---|
//! | begin: the pieces are set aside | not committed | nothing has happened |
//! | payment is asked | refused, or provably never ran | the pieces are the order's again |
//! | | nobody knows | it is asked again, by a task |
//! | done: the pieces are taken back | not committed | payment is asked again, and says the same |

#![warn(clippy::arithmetic_side_effects, reason = "pieces that wrap are stock out of nowhere")]

use std::{
    iter,
    time::{Duration, SystemTime},
};

use super::{
    Line, Method, Milestones, Order, Refusal, State,
    checkout::Share,
    pieces::{Bears, bear},
};

/// How long after its arrival a return may be asked for.
pub(crate) const RETURN_WITHIN: Duration = Duration::from_hours(7 * 24);

base::id!(
    /// Identifies what is taken back at once: a cancellation of lines, or a return.
    PartId
);

/// Why pieces are taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cancellation,
    Return,
}

pg::names!(Kind, constraint order_part_kind: Cancellation = "CANCEL", Return = "RETURN");

/// Some pieces of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Which of the order's lines, from 0.
    pub(crate) line: usize,
    /// 1 or more.
    pub(crate) quantity: i32,
}

/// How many pieces of a line are taken back, or may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) cancelled: i32,
    pub(crate) returned: i32,
    /// Set aside: of a cancellation that is under way, and of returns that are asked for.
    pub(crate) open: i32,
}

impl Taken {
    fn gone(self) -> i32 {
        self.cancelled.saturating_add(self.returned)
    }
}

/// What has been taken back of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// One for each line; none before anything was set aside.
    pub(crate) taken: Vec<Taken>,
    /// What payment is being asked about.
    pub(crate) under_way: Option<PartId>,
    /// Calls to payment about it that may be under way.
    pub(crate) attempts: i32,
    /// When the goods had arrived, as carrier, seller or member said first.
    pub(crate) arrived: Option<SystemTime>,
}

impl Parts {
    fn of(&self, line: usize) -> Taken {
        self.taken.get(line).copied().unwrap_or_default()
    }

    /// Whether something is set aside: a return is asked for, or a cancellation under way.
    pub(crate) fn is_open(&self) -> bool {
        self.taken.iter().any(|taken| taken.open > 0)
    }
}

/// How the cancellation of some lines begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// They are set aside; this attempt's number.
    Part(i32),
    /// Nothing would be left: it is a cancellation of the order.
    Everything,
}

/// Something that a member may do with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Cancel,
    CancelLines,
    ConfirmReceipt,
    RequestReturn,
    PayDeposit,
}

impl Order {
    /// How many pieces of a line are the member's, and nobody wants back.
    fn left(&self, line: usize) -> i32 {
        let taken = self.parts.of(line);
        let quantity = self.lines.get(line).map_or(0, |line| line.quantity);
        quantity.saturating_sub(taken.gone()).saturating_sub(taken.open)
    }

    /// What has been taken back of each line.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (&Line, Taken)> {
        let taken = self.parts.taken.iter().copied().chain(iter::repeat(Taken::default()));
        self.lines.iter().zip(taken)
    }

    /// What has not been taken back of each line; lines of which nothing is left are none.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, i32)> {
        let kept = self.taken().map(|(line, taken)| line.quantity.saturating_sub(taken.gone()));
        kept.enumerate().filter(|(_, kept)| *kept > 0)
    }

    /// Some lines are to be cancelled, by the member or by the shop.
    pub(crate) fn begin_cancel_lines(
        &mut self,
        part: PartId,
        pieces: &[Pieces],
        by_shop: bool,
    ) -> Result<Begun, Refusal> {
        self.may_cancel_lines(by_shop)?;
        self.fits(pieces)?;
        let wanted: i64 = pieces.iter().map(|pieces| i64::from(pieces.quantity)).sum();
        let kept: i64 = self.kept().map(|(_, kept)| i64::from(kept)).sum();
        if wanted == kept {
            return Ok(Begun::Everything);
        }
        self.set_aside(pieces);
        self.parts.under_way = Some(part);
        self.parts.attempts = 1;
        Ok(Begun::Part(1))
    }

    fn may_cancel_lines(&self, by_shop: bool) -> Result<(), Refusal> {
        match self.state() {
            State::Pending | State::Aborting => return Err(Refusal::NotPlaced),
            State::Placed => return Err(Refusal::PaymentPending),
            State::Cancelled(_) => return Err(Refusal::Cancelled),
            State::Cancelling => return Err(Refusal::Cancelling),
            State::Closed => return Err(Refusal::Closed),
            State::AwaitingDeposit
            | State::Paid
            | State::Prepared
            | State::Delivering
            | State::Delivered => {}
        }
        if !by_shop && self.facts.dispatched {
            return Err(Refusal::Dispatched);
        }
        if !by_shop && self.method == Method::BankTransfer && self.facts.paid {
            return Err(Refusal::DepositConfirmed);
        }
        self.nothing_under_way()
    }

    fn nothing_under_way(&self) -> Result<(), Refusal> {
        if self.parts.under_way.is_some() { Err(Refusal::PartUnderWay) } else { Ok(()) }
    }

    fn fits(&self, pieces: &[Pieces]) -> Result<(), Refusal> {
        let more = pieces.iter().find(|pieces| pieces.quantity > self.left(pieces.line));
        match more {
            Some(pieces) => Err(Refusal::LinesTaken { left: self.left(pieces.line) }),
            None => Ok(()),
        }
    }

    fn set_aside(&mut self, pieces: &[Pieces]) {
        self.parts.taken.resize(self.lines.len(), Taken::default());
        self.change(pieces, |taken, quantity| taken.open = taken.open.saturating_add(quantity));
    }

    fn change(&mut self, pieces: &[Pieces], change: impl Fn(&mut Taken, i32)) {
        for Pieces { line, quantity } in pieces {
            if let Some(taken) = self.parts.taken.get_mut(*line) {
                change(taken, *quantity);
            }
        }
    }

    /// The pieces are not set aside any more.
    fn put_back(&mut self, pieces: &[Pieces]) {
        self.change(pieces, |taken, quantity| taken.open = taken.open.saturating_sub(quantity));
    }

    /// The member wants to give pieces back.
    pub(crate) fn request_return(
        &mut self,
        pieces: &[Pieces],
        now: SystemTime,
    ) -> Result<(), Refusal> {
        self.may_return(now)?;
        self.fits(pieces)?;
        self.set_aside(pieces);
        Ok(())
    }

    fn may_return(&self, now: SystemTime) -> Result<(), Refusal> {
        match self.state() {
            State::Pending | State::Aborting => Err(Refusal::NotPlaced),
            State::Cancelled(_) => Err(Refusal::Cancelled),
            State::Cancelling => Err(Refusal::Cancelling),
            State::Placed
            | State::AwaitingDeposit
            | State::Paid
            | State::Prepared
            | State::Delivering => Err(Refusal::NotDelivered),
            State::Delivered | State::Closed => match self.returnable_until() {
                Some(until) if now < until => Ok(()),
                _ => Err(Refusal::ReturnPeriodOver),
            },
        }
    }

    /// Until when a return may be asked for; none before the goods have arrived.
    pub(crate) fn returnable_until(&self) -> Option<SystemTime> {
        self.parts.arrived.and_then(|arrived| arrived.checked_add(RETURN_WITHIN))
    }

    /// The goods are back, as the shop says. Answers this attempt's number.
    pub(crate) fn begin_return(&mut self, part: PartId) -> Result<i32, Refusal> {
        match self.state() {
            State::Cancelled(_) => return Err(Refusal::Cancelled),
            State::Cancelling => return Err(Refusal::Cancelling),
            _ if self.parts.under_way == Some(part) => {}
            _ => self.nothing_under_way()?,
        }
        self.parts.under_way = Some(part);
        self.parts.attempts = self.parts.attempts.saturating_add(1);
        Ok(self.parts.attempts)
    }

    /// The shop does not take the pieces back: they may be asked for again.
    pub(crate) fn reject_return(&mut self, pieces: &[Pieces]) {
        self.put_back(pieces);
    }

    /// Takes up what payment has still to answer.
    pub(crate) fn join_part(&mut self) -> Option<(PartId, i32)> {
        let part = self.parts.under_way?;
        self.parts.attempts = self.parts.attempts.saturating_add(1);
        Some((part, self.parts.attempts))
    }

    /// What the pieces bear that are next to go, in the order's lines.
    pub(crate) fn bear(&self, pieces: &[Pieces]) -> Vec<Bears> {
        let share = |line| self.checkout.shares.get(line).copied().unwrap_or_default();
        let bears = pieces.iter().map(|Pieces { line, quantity }| {
            let share: Share = share(*line);
            let before = self.parts.of(*line).gone();
            self.lines.get(*line).map(|it| bear(it, share, before, *quantity))
        });
        bears.map(Option::unwrap_or_default).collect()
    }

    /// Payment has given back what they bear.
    pub(crate) fn part_done(&mut self, kind: Kind, pieces: &[Pieces]) -> Milestones {
        self.put_back(pieces);
        self.change(pieces, |taken, quantity| {
            let count = match kind {
                Kind::Cancellation => &mut taken.cancelled,
                Kind::Return => &mut taken.returned,
            };
            *count = count.saturating_add(quantity);
        });
        self.end_part()
    }

    /// Payment has refused, or was never asked: cancelled pieces are the order's again, a return is still
    /// asked for.
    pub(crate) fn part_undone(&mut self, kind: Kind, pieces: &[Pieces]) -> Milestones {
        if kind == Kind::Cancellation {
            self.put_back(pieces);
        }
        self.end_part()
    }

    /// True when no calls but this attempt's can be under way.
    pub(crate) fn parts_alone(&self, attempt: i32) -> bool {
        attempt == 1 && self.parts.attempts == 1
    }

    fn end_part(&mut self) -> Milestones {
        self.parts.under_way = None;
        self.parts.attempts = 0;
        self.pass()
    }

    /// What the member may do now.
    pub(crate) fn actions(&self, now: SystemTime) -> Vec<Action> {
        let quiet = self.parts.under_way.is_none();
        let left = (0..self.lines.len()).any(|line| self.left(line) > 0);
        let state = self.state();
        let confirmed = self.method == Method::BankTransfer && self.facts.paid;
        let under_way = matches!(
            state,
            State::Placed
                | State::AwaitingDeposit
                | State::Paid
                | State::Prepared
                | State::Delivering
                | State::Delivered
        );
        let may = [
            (Action::Cancel, under_way && !self.facts.dispatched && !confirmed && quiet),
            (Action::CancelLines, self.may_cancel_lines(false).is_ok() && left),
            (Action::ConfirmReceipt, matches!(state, State::Delivering | State::Delivered)),
            (Action::RequestReturn, self.may_return(now).is_ok() && left),
            (Action::PayDeposit, state == State::AwaitingDeposit),
        ];
        may.into_iter().filter(|(_, may)| *may).map(|(action, _)| action).collect()
    }
}

#[cfg(test)]
#[path = "../parts_tests.rs"]
mod tests;
