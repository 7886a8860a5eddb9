//! What is left of a member's points, and which of them go first: no clock, no
//! network, no SQL.
//!
//! What a payment earned is a *lot*, from which points are spent until it expires; the lots that expire
//! first are spent first. Points that are taken back after they were spent come out of other lots, and
//! what no lot has is *debt*: whatever comes in fills that first. So a balance is what the lots have
//! left, less the debt, and there is never both.

#![warn(clippy::arithmetic_side_effects, reason = "points that wrap are points out of nowhere")]

use std::{collections::BTreeMap, ops::RangeInclusive, time::SystemTime};

use super::{EntryId, OrderId, Refusal};

/// What one order may spend.
pub(crate) const SPEND: RangeInclusive<i64> = 1..=1_000_000_000_000;

/// What is left of the points of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lot {
    /// What was earned.
    pub(crate) points: i64,
    pub(crate) remaining: i64,
    /// What nobody spent in time.
    pub(crate) expired: i64,
    /// What was taken back.
    pub(crate) revoked: i64,
    pub(crate) expire_time: SystemTime,
}

/// What changes a balance, other than what is earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Spend,
    Restore,
    Revoke,
    Expire,
}

pg::names!(Kind, constraint mileage_movement_kind:
    Spend = "SPEND", Restore = "RESTORE", Revoke = "REVOKE", Expire = "EXPIRE");

/// A change of a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Movement {
    pub(crate) kind: Kind,
    /// Above 0 when they come back, else below.
    pub(crate) points: i64,
    /// The order that they were spent on.
    pub(crate) order: Option<OrderId>,
    /// The entry that had earned them.
    pub(crate) lot: Option<EntryId>,
    /// Of points that are back, when they expire.
    pub(crate) expire_time: Option<SystemTime>,
}

/// Points that an order has of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) lot: EntryId,
    pub(crate) points: i64,
}

/// A member's points: of the lots, as many of the oldest as are needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) lots: BTreeMap<EntryId, Lot>,
    pub(crate) debt: i64,
}

impl Account {
    /// A payment has earned points.
    pub(crate) fn earn(&mut self, entry: EntryId, points: i64, expire_time: SystemTime) {
        if points > 0 {
            let remaining = self.fill(points);
            let lot = Lot { points, remaining, expired: 0, revoked: 0, expire_time };
            self.lots.insert(entry, lot);
        }
    }

    /// An order is paid with points. Answers which they are, and what happened to the balance.
    pub(crate) fn spend(
        &mut self,
        order: OrderId,
        points: i64,
        now: SystemTime,
    ) -> Result<(Vec<Taken>, Vec<Movement>), Refusal> {
        let mut movements = self.expire(now);
        let taken = self.take(points);
        if self.debt > 0 || sum(&taken) < i128::from(points) {
            return Err(Refusal::InsufficientPoints);
        }
        movements.push(Movement {
            kind: Kind::Spend,
            points: 0_i64.saturating_sub(points),
            order: Some(order),
            lot: None,
            expire_time: None,
        });
        Ok((taken, movements))
    }

    /// The order is cancelled, or some of it: points go back to where they came from, and are as old as they
    /// were.
    pub(crate) fn restore(
        &mut self,
        order: OrderId,
        taken: &[Taken],
        now: SystemTime,
    ) -> Vec<Movement> {
        let mut taken: Vec<(SystemTime, Taken)> = taken
            .iter()
            .filter_map(|taken| self.lots.get(&taken.lot).map(|lot| (lot.expire_time, *taken)))
            .collect();
        // What expires first fills a debt first.
        taken.sort_by_key(|(expire_time, taken)| (*expire_time, taken.lot));
        let mut movements = Vec::new();
        for (expire_time, Taken { lot, points }) in taken {
            let rest = self.fill(points);
            if let Some(lot) = self.lots.get_mut(&lot) {
                lot.remaining = lot.remaining.saturating_add(rest);
            }
            movements.push(Movement {
                kind: Kind::Restore,
                points,
                order: Some(order),
                lot: Some(lot),
                expire_time: Some(expire_time),
            });
        }
        movements.extend(self.expire(now));
        movements
    }

    /// The payment is cancelled, or some of it, and what it earned is worth so much: the rest is taken back,
    /// but what has expired of it, or was taken back before.
    pub(crate) fn revoke(&mut self, entry: EntryId, worth: i64, now: SystemTime) -> Vec<Movement> {
        let mut movements = self.expire(now);
        let Some(lot) = self.lots.get_mut(&entry) else { return movements };
        let gone = lot.expired.saturating_add(lot.revoked);
        let points = lot.points.saturating_sub(gone).saturating_sub(worth);
        if points <= 0 {
            return movements;
        }
        lot.revoked = lot.revoked.saturating_add(points);
        // Its own first.
        let own = lot.remaining.min(points);
        lot.remaining = lot.remaining.saturating_sub(own);
        let short = points.saturating_sub(own);
        let others = i64::try_from(sum(&self.take(short))).unwrap_or(short);
        let spent = short.saturating_sub(others);
        self.debt = self.debt.checked_add(spent).expect("no more than was ever spent");
        movements.push(Movement {
            kind: Kind::Revoke,
            points: 0_i64.saturating_sub(points),
            order: None,
            lot: Some(entry),
            expire_time: None,
        });
        movements
    }

    /// Ends what has not been spent in time.
    pub(crate) fn expire(&mut self, now: SystemTime) -> Vec<Movement> {
        let due = self.lots.iter_mut().filter(|(_, lot)| lot.is_due(now));
        let ended = due.map(|(entry, lot)| {
            let points = lot.remaining;
            lot.expired = lot.expired.saturating_add(points);
            lot.remaining = 0;
            Movement {
                kind: Kind::Expire,
                points: 0_i64.saturating_sub(points),
                order: None,
                lot: Some(*entry),
                expire_time: None,
            }
        });
        ended.collect()
    }

    /// Takes as many as there are, up to so many; the oldest first.
    fn take(&mut self, points: i64) -> Vec<Taken> {
        let mut open: Vec<(SystemTime, EntryId)> = self
            .lots
            .iter()
            .filter(|(_, lot)| lot.remaining > 0)
            .map(|(entry, lot)| (lot.expire_time, *entry))
            .collect();
        open.sort_unstable();
        let (mut wanted, mut taken) = (points, Vec::new());
        for (_, entry) in open {
            let Some(lot) = self.lots.get_mut(&entry) else { continue };
            let points = lot.remaining.min(wanted);
            if points == 0 {
                break;
            }
            lot.remaining = lot.remaining.saturating_sub(points);
            wanted = wanted.saturating_sub(points);
            taken.push(Taken { lot: entry, points });
        }
        taken
    }

    /// Fills a debt with what comes in. Answers what is left of it.
    fn fill(&mut self, points: i64) -> i64 {
        let filled = self.debt.min(points);
        self.debt = self.debt.saturating_sub(filled);
        points.saturating_sub(filled)
    }
}

impl Lot {
    fn is_due(&self, now: SystemTime) -> bool {
        self.remaining > 0 && self.expire_time <= now
    }
}

fn sum(taken: &[Taken]) -> i128 {
    taken.iter().map(|taken| i128::from(taken.points)).sum()
}

/// How far an order has come with its points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpendState {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Spent,
    /// It had some.
    Released,
    /// It was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(SpendState, constraint mileage_spend_state:
    New = "NEW", Spent = "SPENT", Released = "RELEASED", Refused = "REFUSED");

/// What an order does with points; at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spend {
    pub(crate) state: SpendState,
    pub(crate) points: i64,
    /// From which lots those are that have not come back; what expires first comes first.
    pub(crate) taken: Vec<Taken>,
}

impl Spend {
    /// Whether the order has spent these points already; a refusal if it may not spend them.
    pub(crate) fn ask(&self, points: i64) -> Result<bool, Refusal> {
        match self.state {
            SpendState::New => Ok(false),
            SpendState::Spent if self.points == points => Ok(true),
            SpendState::Spent => Err(Refusal::OtherPoints),
            SpendState::Released | SpendState::Refused => Err(Refusal::OrderCancelled),
        }
    }

    /// Some of the order is cancelled: answers so many of its points, or all that are left. They are those
    /// that expire last, so that whoever has them again has them for long.
    pub(crate) fn give_back(&mut self, points: i64) -> Vec<Taken> {
        let (mut wanted, mut back) = (points, Vec::new());
        if self.state != SpendState::Spent {
            return back;
        }
        while wanted > 0
            && let Some(last) = self.taken.last_mut()
        {
            let (lot, points) = (last.lot, last.points.min(wanted));
            last.points = last.points.saturating_sub(points);
            wanted = wanted.saturating_sub(points);
            back.push(Taken { lot, points });
            self.taken.pop_if(|last| last.points == 0);
        }
        back
    }

    /// The order is cancelled, or never was. Answers what it had, if that is new.
    pub(crate) fn release(&mut self) -> Option<&[Taken]> {
        let (state, taken) = match self.state {
            SpendState::New => (SpendState::Refused, &[][..]),
            SpendState::Spent => (SpendState::Released, &*self.taken),
            SpendState::Released | SpendState::Refused => return None,
        };
        self.state = state;
        Some(taken)
    }
}

#[cfg(test)]
#[path = "../account_tests.rs"]
mod tests;
