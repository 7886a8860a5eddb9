//! The rules of parts, one sentence each; and that whatever happens in whatever order, each tender has back
//! what it paid and no more.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use std::{
    iter,
    time::{Duration, SystemTime},
};

use base::id::Uuid;

use super::*;
use crate::domain::{MemberId, OrderId, PaymentId, Placed};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const BOWLS: Uuid = Uuid::from_u128(1);
const BALANCE: i64 = 10_000;

fn payment() -> Payment {
    Payment {
        id: PaymentId(base::id::new()),
        order: OrderId(base::id::new()),
        member: MemberId(base::id::new()),
        method: Method::Wallet,
        amount: Money::ZERO,
        wallet: Money::ZERO,
        refunded: Money::ZERO,
        wallet_refunded: Money::ZERO,
        state: State::New,
        reason: String::new(),
        lines: Vec::new(),
        deposit_due: None,
        reference: String::new(),
        depositor: String::new(),
        attempts: 0,
        acquirer_reference: String::new(),
    }
}

fn with_balance(payment: &Payment) -> Wallets {
    Wallets::from([(payment.member, Money::krw(BALANCE))])
}

fn placed(method: Method, amount: i64, wallet: i64) -> Placed {
    Placed {
        amount: Money::krw(amount),
        wallet: Money::krw(if method == Method::Wallet { 0 } else { wallet }),
        method,
        lines: vec![Line { product: BOWLS, quantity: 6 }],
        deposit_due: NOW + Duration::from_secs(1),
        reference: String::new(),
    }
}

fn part(amount: i64, wallet: i64, by: By) -> Part {
    Part {
        id: PartId(base::id::new()),
        amount: Money::krw(amount),
        wallet: Money::krw(wallet),
        lines: vec![Line { product: BOWLS, quantity: 1 }],
        by,
        account: None,
    }
}

fn account() -> Account {
    Account::parse("account", "004", "110-234-567890", "Kim").expect("an account")
}

/// One that is paid, and the wallets then.
fn paid(method: Method, amount: i64, wallet: i64) -> (Payment, Wallets) {
    let mut payment = payment();
    let mut wallets = with_balance(&payment);
    match method {
        Method::Card => {
            let (amount, wallet) = (Money::krw(amount), Money::krw(wallet));
            payment.authorise(amount, wallet, &mut wallets).expect("enough");
            payment.charged("ref", &mut wallets);
        }
        Method::Wallet => drop(payment.placed(placed(method, amount, 0), &mut wallets)),
        Method::BankTransfer => {
            payment.placed(placed(method, amount, wallet), &mut wallets);
            payment.confirm(Money::krw(amount), "Kim", NOW).expect("waits");
            payment.confirmed(&mut wallets);
        }
    }
    assert_eq!(payment.state, State::Done);
    (payment, wallets)
}

#[test]
fn a_deposit_that_is_waited_for_becomes_smaller() {
    let mut payment = payment();
    let mut wallets = with_balance(&payment);
    payment.placed(placed(Method::BankTransfer, 600, 60), &mut wallets);
    let reduced = part(200, 20, By::Member);
    let outcomes = payment.refund_part(reduced.clone(), &mut wallets);
    let expected = Outcome::Reduced { part: reduced.id, wallet: Money::krw(20) };
    assert_eq!(outcomes, Ok(vec![expected]));
    assert_eq!((payment.amount, payment.wallet), (Money::krw(400), Money::krw(40)));
    assert_eq!(payment.paid(), (payment.amount, payment.wallet), "nothing had been paid");
    assert_eq!(payment.lines, [Line { product: BOWLS, quantity: 5 }]);
    assert_eq!(wallets[&payment.member], Money::krw(BALANCE - 40));
    payment.confirm(Money::krw(600), "Kim", NOW).expect_err("that is not what is due");
    payment.confirm(Money::krw(400), "Kim", NOW).expect("that is");
    assert_eq!(payment.refund_part(part(1, 1, By::Shop), &mut wallets), Err(Refusal::Confirming));
}

#[test]
fn a_deposit_of_which_nothing_is_due_any_more_is_paid() {
    let mut payment = payment();
    let mut wallets = with_balance(&payment);
    payment.placed(placed(Method::BankTransfer, 600, 60), &mut wallets);
    let outcomes = payment.refund_part(part(600, 20, By::Member), &mut wallets).expect("less");
    assert!(matches!(outcomes[..], [Outcome::Reduced { .. }, Outcome::Approved]), "{outcomes:?}");
    assert_eq!((payment.state, payment.wallet), (State::Done, Money::krw(40)));
    assert_eq!(payment.expire(&mut wallets), []);
}

#[test]
fn a_part_goes_back_to_where_it_came_from_and_the_rest_stays_paid() {
    let given = |won, to| Some(GivenBack { amount: Money::krw(won), to });
    for (method, account, to, back) in [
        (Method::Card, None, Tender::Card, 20),
        (Method::Card, Some(account()), Tender::Card, 20),
        (Method::BankTransfer, None, Tender::Wallet, 220),
        (Method::BankTransfer, Some(account()), Tender::BankTransfer(account()), 20),
    ] {
        let (mut payment, mut wallets) = paid(method, 600, 60);
        let before = wallets[&payment.member];
        let part = Part { account, ..part(200, 20, By::Shop) };
        let outcomes = payment.refund_part(part.clone(), &mut wallets).expect("gives back");
        let (by_method, by_wallet) = (given(200, to), given(20, Tender::Wallet));
        assert_eq!(outcomes, [Outcome::PartRefunded { part: part.id, by_method, by_wallet }]);
        assert_eq!(wallets[&payment.member], before.plus(Money::krw(back)).expect("few"));
        assert_eq!((payment.state, payment.total()), (State::Done, Money::krw(440)));
        assert_eq!(payment.paid(), (Money::krw(600), Money::krw(60)));
    }
    let (mut payment, mut wallets) = paid(Method::Wallet, 600, 0);
    // What a wallet pays is one sum, however it is split.
    let outcomes = payment.refund_part(part(200, 20, By::Member), &mut wallets);
    let outcomes = outcomes.expect("gives back");
    let [Outcome::PartRefunded { by_method, by_wallet: None, .. }] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(*by_method, given(220, Tender::Wallet));
    assert_eq!(wallets[&payment.member], Money::krw(BALANCE - 380));
}

#[test]
fn what_cannot_go_back_is_refused_and_changes_nothing() {
    let refused = |payment: &Payment, part: Part, refusal: Refusal| {
        let mut wallets = with_balance(payment);
        let (mut after, before) = (payment.clone(), wallets.clone());
        assert_eq!(after.refund_part(part, &mut wallets), Err(refusal));
        assert_eq!((&after, wallets), (payment, before));
    };
    refused(&payment(), part(1, 0, By::Shop), Refusal::PaymentPending);
    let mut asking = payment();
    asking.authorise(Money::krw(600), Money::ZERO, &mut Wallets::new()).expect("asks");
    refused(&asking, part(1, 0, By::Shop), Refusal::Authorising);
    let transfer = paid(Method::BankTransfer, 600, 60).0;
    refused(&transfer, part(1, 0, By::Member), Refusal::DepositConfirmed);
    for method in [Method::Card, Method::BankTransfer] {
        refused(&paid(method, 600, 60).0, part(601, 0, By::Shop), Refusal::MoreThanIsLeft);
        refused(&paid(method, 600, 60).0, part(0, 61, By::Shop), Refusal::MoreThanIsLeft);
    }
    refused(&paid(Method::Wallet, 600, 0).0, part(600, 1, By::Shop), Refusal::MoreThanIsLeft);
    let mut waiting = payment();
    waiting.placed(placed(Method::BankTransfer, 600, 0), &mut with_balance(&waiting));
    let lines = |product, quantity| Part {
        lines: vec![Line { product, quantity }],
        ..part(1, 0, By::Member)
    };
    // All of them is no part.
    for (product, quantity) in [(BOWLS, 6), (BOWLS, 7), (Uuid::from_u128(2), 1)] {
        refused(&waiting, lines(product, quantity), Refusal::MoreThanIsLeft);
    }
    let mut cancelled = paid(Method::Card, 600, 0).0;
    cancelled.cancelled("MEMBER_REQUEST", None, &mut Wallets::new());
    refused(&cancelled, part(1, 0, By::Shop), Refusal::PaymentCancelled);
}

/// What can happen to a payment of which parts go back.
#[derive(Clone, Copy, Debug)]
enum Step {
    Placed(Method),
    Authorise,
    Charged,
    Confirm,
    Confirmed,
    ConfirmRefused,
    Expire,
    Part(i64, i64, By),
    Cancel,
    OrderCancelled,
}

const STEPS: [Step; 13] = [
    Step::Placed(Method::Wallet),
    Step::Placed(Method::BankTransfer),
    Step::Authorise,
    Step::Charged,
    Step::Confirm,
    Step::Confirmed,
    Step::ConfirmRefused,
    Step::Expire,
    Step::Part(200, 20, By::Member),
    Step::Part(200, 20, By::Shop),
    Step::Part(350, 0, By::Shop),
    Step::Cancel,
    Step::OrderCancelled,
];

const AMOUNT: i64 = 600;
const WALLET: i64 = 60;

/// Where a payment's money has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// By the method; and back.
    paid: i64,
    back: i64,
    /// By the wallet beside it, held or paid; and back.
    reserved: i64,
    released: i64,
    /// Of what is back, what the wallet has.
    to_wallet: i64,
}

impl Tally {
    fn add(&mut self, payment: &Payment, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match outcome {
                Outcome::Approved => self.paid += payment.amount.minor(),
                Outcome::Reserved => self.reserved += payment.wallet.minor(),
                Outcome::Released => self.released += payment.wallet.minor(),
                Outcome::Reduced { wallet, .. } => self.released += wallet.minor(),
                _ => {}
            }
            let of_wallet = |it: &GivenBack| match outcome {
                Outcome::WalletRefunded(_) => true,
                Outcome::PartRefunded { by_wallet: Some(by_wallet), .. } => {
                    std::ptr::eq(by_wallet, it)
                }
                _ => false,
            };
            for given_back in outcome.gives_back().0 {
                let won = given_back.amount.minor();
                if of_wallet(given_back) {
                    self.released += won;
                } else {
                    self.back += won;
                    self.to_wallet += if given_back.to == Tender::Wallet { won } else { 0 };
                }
            }
        }
    }

    /// What the wallet has, and that nothing is lost or made.
    fn check(&self, payment: &Payment, wallets: &Wallets) {
        let of_wallet = if payment.method == Method::Wallet { self.paid } else { 0 };
        let out = of_wallet + self.reserved;
        let balance = BALANCE - out + self.released + self.to_wallet;
        assert_eq!(wallets[&payment.member].minor(), balance, "{payment:?} {self:?}");
        let (kept, held) = match payment.state {
            State::Done => (payment.amount.minor(), payment.wallet.minor()),
            State::Authorising | State::WaitingForDeposit | State::Confirming => {
                (0, payment.wallet.minor())
            }
            _ => (0, 0),
        };
        assert_eq!(self.paid - self.back, kept, "{payment:?} {self:?}");
        assert_eq!(self.reserved - self.released, held, "{payment:?} {self:?}");
        let (by_method, by_wallet) = payment.paid();
        assert!(!by_method.is_negative() && !by_wallet.is_negative(), "{payment:?}");
    }
}

fn take(payment: &mut Payment, wallets: &mut Wallets, step: Step) -> Vec<Outcome> {
    match step {
        Step::Placed(method) => payment.placed(placed(method, AMOUNT, WALLET), wallets),
        Step::Authorise => {
            let asked = payment.authorise(Money::krw(AMOUNT), Money::krw(WALLET), wallets);
            asked.map(|(_, outcomes)| outcomes).unwrap_or_default()
        }
        Step::Charged if payment.method == Method::Card => payment.charged("ref", wallets),
        Step::Charged => Vec::new(),
        Step::Confirm => {
            let _ = payment.confirm(payment.amount, "Kim", NOW);
            Vec::new()
        }
        Step::Confirmed => payment.confirmed(wallets),
        Step::ConfirmRefused => payment.confirm_refused("OUT_OF_STOCK", wallets),
        Step::Expire => payment.expire(wallets),
        Step::Part(amount, wallet, by) => {
            payment.refund_part(part(amount, wallet, by), wallets).unwrap_or_default()
        }
        Step::Cancel => payment.ask_cancel(By::Shop, None, wallets).unwrap_or_default(),
        Step::OrderCancelled => payment.cancelled("MEMBER_REQUEST", None, wallets),
    }
}

fn every_history(state: &(Payment, Wallets, Tally), left: u32, histories: &mut u32) {
    *histories += 1;
    state.2.check(&state.0, &state.1);
    if left == 0 {
        return;
    }
    for step in STEPS {
        let (mut payment, mut wallets, mut tally) = state.clone();
        let outcomes = take(&mut payment, &mut wallets, step);
        tally.add(&payment, &outcomes);
        every_history(&(payment, wallets, tally), left - 1, histories);
    }
}

#[test]
fn in_every_history_each_tender_has_back_what_it_paid_and_no_more() {
    let start = payment();
    let wallets = with_balance(&start);
    let mut histories = 0;
    every_history(&(start, wallets, Tally::default()), 5, &mut histories);
    assert!(histories > 400_000);
}

/// A generator of its own, so that a failure can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, most: i64) -> i64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((z ^ (z >> 31)) % (u64::try_from(most).expect("not negative") + 1))
            .expect("few")
    }
}

#[test]
fn whatever_parts_go_back_a_cancellation_gives_back_the_rest() {
    for seed in 0..3_000 {
        let mut dice = Dice(seed);
        for method in [Method::Card, Method::Wallet, Method::BankTransfer] {
            let amount = dice.roll(1_000);
            let wallet = if method == Method::Wallet { 0 } else { dice.roll(1_000) };
            let (mut payment, mut wallets) = paid(method, amount, wallet);
            let mut tally = Tally { paid: amount, reserved: wallet, ..Tally::default() };
            for _ in 0..dice.roll(6) {
                // Now and then more than is left, which is refused.
                let most = |left: Money| left.minor() + left.minor() / 8;
                let share = (dice.roll(most(payment.amount)), dice.roll(most(payment.wallet)));
                let account = (dice.roll(1) == 0).then(account);
                let part = Part { account, ..part(share.0, share.1, By::Shop) };
                let fits = share.0 <= payment.amount.minor() && share.1 <= payment.wallet.minor();
                let outcomes = payment.refund_part(part, &mut wallets);
                assert_eq!(outcomes.is_ok(), fits, "seed {seed}");
                tally.add(&payment, &outcomes.unwrap_or_default());
                tally.check(&payment, &wallets);
            }
            let left = (payment.amount, payment.wallet);
            let outcomes = payment.cancelled("SHOP_REQUEST", None, &mut wallets);
            let back = outcomes.iter().flat_map(|it| it.gives_back().0).map(|it| it.amount);
            let sum = back.chain(iter::once(Money::ZERO)).try_fold(Money::ZERO, Money::plus);
            assert_eq!(sum, left.0.plus(left.1), "seed {seed}");
            tally.add(&payment, &outcomes);
            tally.check(&payment, &wallets);
            assert_eq!((tally.back, tally.released), (amount, wallet), "seed {seed}");
        }
    }
}
