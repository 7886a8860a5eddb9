//! The rules of points that are spent, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use std::time::Duration;

use super::*;

fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(second)
}

fn entry() -> EntryId {
    EntryId(base::id::new())
}

fn order() -> OrderId {
    OrderId(base::id::new())
}

fn balance(account: &Account) -> i64 {
    account.lots.values().map(|lot| lot.remaining).sum::<i64>() - account.debt
}

fn points(movements: &[Movement]) -> Vec<(Kind, i64)> {
    movements.iter().map(|it| (it.kind, it.points)).collect()
}

#[test]
fn the_oldest_are_spent_first_and_come_back_as_old_as_they_were() {
    let (mut account, old, young, spent_on) = (Account::default(), entry(), entry(), order());
    account.earn(young, 100, at(20));
    account.earn(old, 50, at(10));
    let (taken, movements) = account.spend(spent_on, 70, at(0)).expect("enough");
    assert_eq!(points(&movements), [(Kind::Spend, -70)]);
    let both = [Taken { lot: old, points: 50 }, Taken { lot: young, points: 20 }];
    assert_eq!(taken, both);
    let back = account.restore(spent_on, &taken, at(5));
    let said: Vec<_> = back.iter().map(|it| (it.kind, it.points, it.expire_time)).collect();
    let restored = [(Kind::Restore, 50, Some(at(10))), (Kind::Restore, 20, Some(at(20)))];
    assert_eq!(said, restored);
    assert_eq!((account.lots[&old].remaining, account.lots[&young].remaining), (50, 100));
}

#[test]
fn what_has_expired_meanwhile_is_restored_and_expires_at_once() {
    let (mut account, old, spent_on) = (Account::default(), entry(), order());
    account.earn(old, 50, at(10));
    let (taken, _) = account.spend(spent_on, 30, at(9)).expect("enough");
    assert_eq!(points(&account.expire(at(10))), [(Kind::Expire, -20)]);
    let back = account.restore(spent_on, &taken, at(11));
    assert_eq!(points(&back), [(Kind::Restore, 30), (Kind::Expire, -30)]);
    assert_eq!((balance(&account), account.lots[&old].expired), (0, 50));
}

#[test]
fn what_is_due_is_not_spent() {
    let mut account = Account::default();
    account.earn(entry(), 50, at(10));
    account.earn(entry(), 50, at(20));
    let mut later = account.clone();
    assert_eq!(later.spend(order(), 51, at(10)), Err(Refusal::InsufficientPoints));
    let (_, movements) = account.spend(order(), 50, at(10)).expect("enough");
    assert_eq!(points(&movements), [(Kind::Expire, -50), (Kind::Spend, -50)]);
}

#[test]
fn what_is_taken_back_after_it_was_spent_is_a_debt_that_earnings_fill() {
    let (mut account, first, spent_on) = (Account::default(), entry(), order());
    account.earn(first, 100, at(10));
    let (taken, _) = account.spend(spent_on, 80, at(0)).expect("enough");
    assert_eq!(points(&account.revoke(first, 0, at(1))), [(Kind::Revoke, -100)]);
    assert_eq!((account.debt, balance(&account)), (80, -80));
    assert_eq!(account.spend(order(), 1, at(1)), Err(Refusal::InsufficientPoints));
    let next = entry();
    account.earn(next, 100, at(20));
    assert_eq!((account.debt, account.lots[&next].remaining), (0, 20));
    // What comes back is theirs: the debt was paid.
    account.restore(spent_on, &taken, at(2));
    assert_eq!(balance(&account), 100);
}

#[test]
fn what_is_taken_back_comes_out_of_other_lots_before_it_is_a_debt() {
    let (mut account, first, second) = (Account::default(), entry(), entry());
    account.earn(first, 100, at(10));
    account.earn(second, 100, at(20));
    account.spend(order(), 150, at(0)).expect("enough");
    account.revoke(second, 0, at(1));
    assert_eq!((account.debt, balance(&account)), (50, -50));
}

#[test]
fn what_has_expired_is_not_taken_back_again() {
    let (mut account, only) = (Account::default(), entry());
    account.earn(only, 100, at(10));
    account.spend(order(), 30, at(0)).expect("enough");
    account.expire(at(10));
    assert_eq!(points(&account.revoke(only, 0, at(11))), [(Kind::Revoke, -30)]);
    assert_eq!(balance(&account), -30);
}

#[test]
fn an_order_spends_once_and_nothing_after_its_end() {
    let mut spend = Spend { state: SpendState::New, points: 0, taken: Vec::new() };
    assert_eq!(spend.ask(5), Ok(false));
    assert_eq!(spend.release(), Some(&[][..]));
    assert_eq!(spend.ask(5), Err(Refusal::OrderCancelled));
    let taken = vec![Taken { lot: entry(), points: 5 }];
    let mut spend = Spend { state: SpendState::Spent, points: 5, taken: taken.clone() };
    assert_eq!((spend.ask(5), spend.ask(6)), (Ok(true), Err(Refusal::OtherPoints)));
    assert_eq!(spend.release(), Some(&*taken));
    assert_eq!(spend.release(), None);
    assert_eq!(spend.ask(5), Err(Refusal::OrderCancelled));
}

/// A generator of its own, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let sides = u64::try_from(from.len()).ok().filter(|sides| *sides > 0)?;
        Some(from.swap_remove(usize::try_from(self.roll(sides)).expect("few")))
    }
}

#[test]
fn whatever_happens_no_point_is_lost_or_made() {
    for seed in 0..2_000 {
        let (mut dice, mut account, mut now) = (Dice(seed), Account::default(), 0);
        let (mut earned, mut spent, mut sum) = (Vec::new(), Vec::new(), 0);
        for step in 0..60 {
            let movements = match dice.roll(6) {
                0 | 1 => {
                    let points = i64::try_from(dice.roll(200)).expect("few");
                    let id = entry();
                    account.earn(id, points, at(now + 1 + dice.roll(40)));
                    earned.push(id);
                    sum += points;
                    Vec::new()
                }
                2 => {
                    let (wanted, id) = (i64::try_from(dice.roll(250)).expect("few") + 1, order());
                    let mut after = account.clone();
                    let enough = {
                        after.expire(at(now));
                        balance(&after) >= wanted
                    };
                    let mut after = account.clone();
                    let answer = after.spend(id, wanted, at(now));
                    assert_eq!(answer.is_ok(), enough, "seed {seed}, step {step}");
                    answer.map_or_else(
                        |_| Vec::new(),
                        |(taken, movements)| {
                            spent.push((id, taken));
                            account = after;
                            movements
                        },
                    )
                }
                3 => dice
                    .pick(&mut spent)
                    .map_or_else(Vec::new, |(id, taken)| account.restore(id, &taken, at(now))),
                4 => dice
                    .pick(&mut earned)
                    .map_or_else(Vec::new, |id| account.revoke(id, 0, at(now))),
                _ => {
                    now += dice.roll(15);
                    account.expire(at(now))
                }
            };
            sum += movements.iter().map(|it| it.points).sum::<i64>();
            assert_eq!(balance(&account), sum, "seed {seed}, step {step}");
            let open = account.lots.values().any(|lot| lot.remaining > 0);
            assert!(account.debt == 0 || !open, "seed {seed}, step {step}: a debt beside points");
            let within =
                |lot: &Lot| lot.remaining >= 0 && lot.remaining + lot.expired <= lot.points;
            assert!(account.lots.values().all(within), "seed {seed}, step {step}: {account:?}");
        }
        // When all is taken back or has expired, nothing is left, and nothing is owed.
        for (id, taken) in spent {
            sum += account.restore(id, &taken, at(now)).iter().map(|it| it.points).sum::<i64>();
        }
        for id in earned {
            sum += account.revoke(id, 0, at(now)).iter().map(|it| it.points).sum::<i64>();
        }
        sum += account.expire(at(now + 1_000)).iter().map(|it| it.points).sum::<i64>();
        assert_eq!(balance(&account), sum, "seed {seed}: {account:?}");
    }
}

#[test]
fn what_comes_back_of_an_order_expires_last() {
    let (old, young) = (entry(), entry());
    let both = vec![Taken { lot: old, points: 50 }, Taken { lot: young, points: 20 }];
    let mut spend = Spend { state: SpendState::Spent, points: 70, taken: both };
    assert_eq!(spend.give_back(5), [Taken { lot: young, points: 5 }]);
    let rest = [Taken { lot: young, points: 15 }, Taken { lot: old, points: 10 }];
    assert_eq!(spend.give_back(25), rest);
    assert_eq!(spend.ask(70), Ok(true), "it has spent what it had spent");
    // More than is left is what is left, and a cancellation finds the rest.
    assert_eq!(spend.clone().give_back(41), [Taken { lot: old, points: 40 }]);
    assert_eq!(spend.release(), Some(&[Taken { lot: old, points: 40 }][..]));
    assert_eq!(spend.give_back(1), []);
}

#[test]
fn what_a_payment_earned_is_taken_back_in_parts_and_then_the_rest() {
    let (mut account, first) = (Account::default(), entry());
    account.earn(first, 100, at(10));
    account.spend(order(), 80, at(0)).expect("enough");
    assert_eq!(points(&account.revoke(first, 70, at(1))), [(Kind::Revoke, -30)]);
    assert_eq!((balance(&account), account.debt), (-10, 10));
    assert_eq!(account.revoke(first, 70, at(1)), [], "nothing twice");
    assert_eq!(points(&account.revoke(first, 0, at(1))), [(Kind::Revoke, -70)]);
    assert_eq!(balance(&account), -80);
}

#[test]
fn what_has_expired_is_part_of_what_is_taken_back() {
    let (mut account, only) = (Account::default(), entry());
    account.earn(only, 100, at(10));
    account.spend(order(), 30, at(0)).expect("enough");
    account.expire(at(10));
    // 30 were of use, and the rest of the payment would have earned 40.
    assert_eq!(account.revoke(only, 40, at(11)), []);
    assert_eq!(points(&account.revoke(only, 20, at(11))), [(Kind::Revoke, -10)]);
    assert_eq!(points(&account.revoke(only, 0, at(11))), [(Kind::Revoke, -20)]);
}

/// A payment that has earned, and what it is worth now.
struct Earned {
    id: EntryId,
    points: i64,
    worth: i64,
    taken_back: i64,
}

/// An order that has spent, and how much of that is back.
struct Spender {
    id: OrderId,
    spend: Spend,
    back: i64,
}

/// A member whose orders are paid, cancelled and returned, in parts and as a whole.
struct Member {
    dice: Dice,
    account: Account,
    now: u64,
    sum: i64,
    earned: Vec<Earned>,
    spent: Vec<Spender>,
}

impl Member {
    fn few(&mut self, most: u64) -> i64 {
        i64::try_from(self.dice.roll(most + 1)).expect("few")
    }

    /// One of so many, if there are any.
    fn one_of(&mut self, count: usize) -> Option<usize> {
        let count = u64::try_from(count).ok().filter(|count| *count > 0)?;
        usize::try_from(self.dice.roll(count)).ok()
    }

    fn moved(&mut self, movements: &[Movement]) {
        self.sum += movements.iter().map(|it| it.points).sum::<i64>();
    }

    fn earns(&mut self) {
        let (id, points) = (entry(), self.few(200));
        let lasts = 1 + self.dice.roll(40);
        self.account.earn(id, points, at(self.now + lasts));
        self.sum += points;
        self.earned.push(Earned { id, points, worth: points, taken_back: 0 });
    }

    fn spends(&mut self) {
        let (id, points) = (order(), 1 + self.few(200));
        let mut account = self.account.clone();
        let Ok((taken, movements)) = account.spend(id, points, at(self.now)) else { return };
        self.account = account;
        self.moved(&movements);
        let spend = Spend { state: SpendState::Spent, points, taken };
        self.spent.push(Spender { id, spend, back: 0 });
    }

    fn has_back(&mut self, all: bool) {
        let (wanted, now) = (self.few(60), at(self.now));
        let Some(which) = self.one_of(self.spent.len()) else { return };
        let spender = &mut self.spent[which];
        let taken = if all {
            spender.spend.release().map(<[Taken]>::to_vec).unwrap_or_default()
        } else {
            spender.spend.give_back(wanted)
        };
        let points: i64 = taken.iter().map(|it| it.points).sum();
        assert!(all || points <= wanted);
        spender.back += points;
        let movements = self.account.restore(spender.id, &taken, now);
        let restored = movements.iter().filter(|it| it.kind == Kind::Restore);
        assert_eq!(restored.map(|it| it.points).sum::<i64>(), points);
        self.moved(&movements);
    }

    fn is_worth_less(&mut self, nothing: bool) {
        let (less, now) = (self.few(60), at(self.now));
        let Some(which) = self.one_of(self.earned.len()) else { return };
        let earned = &mut self.earned[which];
        earned.worth = if nothing { 0 } else { (earned.worth - less).max(0) };
        let movements = self.account.revoke(earned.id, earned.worth, now);
        let revoked = movements.iter().filter(|it| it.kind == Kind::Revoke);
        earned.taken_back -= revoked.map(|it| it.points).sum::<i64>();
        self.moved(&movements);
    }

    fn check(&self, seed: u64) {
        assert_eq!(balance(&self.account), self.sum, "seed {seed}");
        let open = self.account.lots.values().any(|lot| lot.remaining > 0);
        assert!(self.account.debt == 0 || !open, "seed {seed}: a debt beside points");
        for lot in self.account.lots.values() {
            assert!(lot.remaining >= 0 && lot.remaining + lot.expired <= lot.points, "{lot:?}");
        }
        for Spender { spend, back, .. } in &self.spent {
            let left: i64 = spend.taken.iter().map(|it| it.points).sum();
            let kept = if spend.state == SpendState::Spent { left } else { 0 };
            assert_eq!(spend.points, kept + back, "seed {seed}");
        }
        for Earned { id, points, worth, taken_back } in &self.earned {
            assert!(*taken_back <= points - worth, "seed {seed}: more than it is worth less");
            let lot = self.account.lots.get(id);
            assert_eq!(lot.map_or(0, |lot| lot.revoked), *taken_back, "seed {seed}");
            let expired = lot.map_or(0, |lot| lot.expired);
            assert!(taken_back + expired >= points - worth, "seed {seed}: less");
        }
    }
}

#[test]
fn in_whatever_parts_orders_end_no_point_is_lost_or_made() {
    for seed in 0..3_000 {
        let mut member = Member {
            dice: Dice(seed),
            account: Account::default(),
            now: 0,
            sum: 0,
            earned: Vec::new(),
            spent: Vec::new(),
        };
        for _ in 0..60 {
            match member.dice.roll(10) {
                0 | 1 => member.earns(),
                2 | 3 => member.spends(),
                4 | 5 => member.has_back(false),
                6 => member.has_back(true),
                7 => member.is_worth_less(false),
                8 => member.is_worth_less(true),
                _ => {
                    member.now += member.dice.roll(15);
                    let movements = member.account.expire(at(member.now));
                    member.moved(&movements);
                }
            }
            member.check(seed);
        }
    }
}
