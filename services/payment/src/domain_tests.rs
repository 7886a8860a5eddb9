//! The rules of money, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn payment() -> Payment {
    Payment {
        id: PaymentId(base::id::new()),
        order: OrderId(base::id::new()),
        member: MemberId(base::id::new()),
        method: Method::Wallet,
        amount: Money::ZERO,
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

fn placed(method: Method, amount: i64) -> Placed {
    let deposit_due = NOW + DEPOSIT_WITHIN;
    Placed {
        amount: Money::krw(amount),
        method,
        lines: Vec::new(),
        deposit_due,
        reference: String::new(),
    }
}

fn with_balance(payment: &Payment, balance: i64) -> Wallets {
    Wallets::from([(payment.member, Money::krw(balance))])
}

#[test]
fn a_short_balance_is_left_alone() {
    let mut payment = payment();
    let mut wallets = with_balance(&payment, 1_000);
    let outcome = payment.placed(placed(Method::Wallet, 1_001), &mut wallets);
    assert_eq!(outcome, Some(Outcome::Declined));
    assert_eq!(wallets[&payment.member], Money::krw(1_000));
    assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), None);
}

#[test]
fn a_cancelled_payment_gives_back_all_of_it_once() {
    let mut payment = payment();
    let mut wallets = with_balance(&payment, 1_000);
    let order = placed(Method::Wallet, 600);
    assert_eq!(payment.placed(order.clone(), &mut wallets), Some(Outcome::Approved));
    assert_eq!(payment.placed(order, &mut wallets), None);
    assert_eq!(wallets[&payment.member], Money::krw(400));
    let cancelled = payment.cancelled("OUT_OF_STOCK", None, &mut wallets);
    let given_back = GivenBack { amount: Money::krw(600), to: Tender::Wallet };
    assert_eq!(cancelled, Some(Outcome::Cancelled(Some(given_back))));
    assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), None);
    assert_eq!(wallets[&payment.member], Money::krw(1_000));
    assert_eq!(payment.reason, "OUT_OF_STOCK");
}

#[test]
fn an_order_cancelled_first_is_never_charged() {
    for method in [Method::Wallet, Method::BankTransfer, Method::Card] {
        let mut payment = payment();
        let mut wallets = with_balance(&payment, 1_000);
        assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), None);
        assert_eq!(payment.placed(placed(method, 600), &mut wallets), None);
        assert_eq!(payment.authorise(Money::krw(600)), Err(Refusal::OrderCancelled));
        assert_eq!(payment.state, State::Refused);
        assert_eq!(wallets[&payment.member], Money::krw(1_000));
    }
}

#[test]
fn a_card_is_charged_once_and_voided_when_the_order_was_cancelled_meanwhile() {
    let mut wallets = Wallets::new();
    let mut good = payment();
    assert_eq!(good.authorise(Money::krw(5)), Ok(Authorise::Ask));
    assert_eq!(good.charged("ref"), Some(Outcome::Approved));
    assert_eq!(good.charged("ref"), None);
    assert_eq!(good.authorise(Money::krw(5)), Ok(Authorise::Charged));
    assert_eq!(good.placed(placed(Method::Card, 5), &mut wallets), None);

    let mut late = payment();
    assert_eq!(late.authorise(Money::krw(5)), Ok(Authorise::Ask));
    assert_eq!(late.cancelled("MEMBER_REQUEST", None, &mut wallets), None);
    assert_eq!(late.authorise(Money::krw(5)), Err(Refusal::OrderCancelled));
    assert_eq!(late.charged("ref"), Some(Outcome::Voided));
    assert_eq!(late.state, State::Cancelled);
}

#[test]
fn a_deposit_is_confirmed_with_the_right_amount_alone() {
    let mut payment = payment();
    let mut wallets = Wallets::new();
    payment.placed(placed(Method::BankTransfer, 3_000), &mut wallets);
    let wrong = payment.confirm(Money::krw(2_999), "Kim", NOW);
    assert_eq!(wrong, Err(Refusal::WrongAmount(Money::krw(3_000))));
    assert_eq!(payment.confirm(Money::krw(3_000), "Kim", NOW), Ok(Some(1)));
    assert_eq!(payment.ask_cancel(By::Member, None, &mut wallets), Err(Refusal::Confirming));
    assert_eq!(payment.expire(), None, "it expires only while it waits");
    assert_eq!(payment.confirmed(&mut wallets), [Outcome::Approved]);
    assert_eq!(payment.confirm(Money::krw(3_000), "Kim", NOW), Ok(None));
    assert_eq!(payment.ask_cancel(By::Member, None, &mut wallets), Err(Refusal::DepositConfirmed));
}

#[test]
fn what_costs_nothing_is_paid_at_once() {
    let mut wallets = Wallets::new();
    for method in [Method::Wallet, Method::BankTransfer] {
        let mut payment = payment();
        assert_eq!(payment.placed(placed(method, 0), &mut wallets), Some(Outcome::Approved));
        assert_eq!(payment.state, State::Done);
        let cancelled = payment.cancelled("SHOP_REQUEST", None, &mut wallets);
        assert_eq!(cancelled, Some(Outcome::Cancelled(None)));
    }
    assert!(wallets.is_empty());
}

#[test]
fn a_deposit_after_its_time_is_refused() {
    let mut payment = payment();
    payment.placed(placed(Method::BankTransfer, 3_000), &mut Wallets::new());
    let late = payment.confirm(Money::krw(3_000), "Kim", NOW + DEPOSIT_WITHIN);
    assert_eq!(late, Err(Refusal::DepositExpired));
    assert_eq!(payment.expire(), Some(Outcome::Expired));
    assert_eq!(payment.confirm(Money::krw(3_000), "Kim", NOW), Err(Refusal::DepositExpired));
}

#[test]
fn a_call_to_product_that_never_ran_leaves_the_payment_waiting_unless_another_joined() {
    let mut alone = payment();
    alone.placed(placed(Method::BankTransfer, 1), &mut Wallets::new());
    alone.confirm(Money::krw(1), "Kim", NOW).expect("waits");
    assert_eq!(alone.confirm_never_ran(1), (true, None));
    assert_eq!(alone.state, State::WaitingForDeposit);

    let mut joined = payment();
    joined.placed(placed(Method::BankTransfer, 1), &mut Wallets::new());
    joined.confirm(Money::krw(1), "Kim", NOW).expect("waits");
    assert_eq!(joined.join_confirm(), Some(2));
    assert_eq!(joined.confirm_never_ran(1), (false, None));
    assert_eq!(joined.state, State::Confirming);
}

#[test]
fn a_charge_that_was_abandoned_is_neither_taken_for_declined_nor_for_good() {
    let (mut payment, mut charged) = (payment(), payment());
    assert_eq!(payment.authorise(Money::krw(3_000)), Ok(Authorise::Ask));
    assert!(payment.abandon());
    // Another attempt, before and after the acquirer has forgotten the charge.
    assert_eq!(payment.authorise(Money::krw(3_000)), Err(Refusal::OrderCancelled));
    let mut late = payment.clone();
    payment.not_charged(ABANDONED);
    assert_eq!(payment.authorise(Money::krw(3_000)), Err(Refusal::OrderCancelled));
    assert_eq!(late.charged("ref"), Some(Outcome::Voided));

    charged.authorise(Money::krw(3_000)).expect("asks");
    assert_eq!(charged.charged("ref"), Some(Outcome::Approved));
    assert!(!charged.abandon());
    assert_eq!(charged.state, State::Done);
}

/// What can happen to a payment, in any order and any number of times.
#[derive(Clone, Copy, Debug)]
enum Step {
    Placed(Method),
    Authorise,
    Charged,
    NotCharged,
    Abandon,
    Abandoned,
    Confirm,
    Confirmed,
    ConfirmRefused,
    ConfirmNeverRan,
    Expire,
    AskCancel,
    OrderCancelled,
}

const STEPS: [Step; 15] = [
    Step::Placed(Method::Wallet),
    Step::Placed(Method::BankTransfer),
    Step::Placed(Method::Card),
    Step::Authorise,
    Step::Charged,
    Step::NotCharged,
    Step::Abandon,
    Step::Abandoned,
    Step::Confirm,
    Step::Confirmed,
    Step::ConfirmRefused,
    Step::ConfirmNeverRan,
    Step::Expire,
    Step::AskCancel,
    Step::OrderCancelled,
];

const AMOUNT: i64 = 600;
const BALANCE: i64 = 1_000;

fn take(payment: &mut Payment, wallets: &mut Wallets, step: Step) -> Vec<Outcome> {
    let one = |outcome: Option<Outcome>| outcome.into_iter().collect();
    match step {
        Step::Placed(method) => one(payment.placed(placed(method, AMOUNT), wallets)),
        Step::Authorise => {
            let _ = payment.authorise(Money::krw(AMOUNT));
            Vec::new()
        }
        // The acquirer answers only for what it was asked.
        Step::Charged if payment.method == Method::Card => one(payment.charged("ref")),
        Step::Charged => Vec::new(),
        Step::NotCharged => {
            payment.not_charged("CARD_DECLINED");
            Vec::new()
        }
        Step::Abandon => {
            payment.abandon();
            Vec::new()
        }
        Step::Abandoned => {
            payment.not_charged(ABANDONED);
            Vec::new()
        }
        Step::Confirm => {
            let _ = payment.confirm(Money::krw(AMOUNT), "Kim", NOW);
            Vec::new()
        }
        Step::Confirmed => payment.confirmed(wallets),
        Step::ConfirmRefused => one(payment.confirm_refused("OUT_OF_STOCK")),
        Step::ConfirmNeverRan => one(payment.confirm_never_ran(payment.attempts).1),
        Step::Expire => one(payment.expire()),
        Step::AskCancel => one(payment.ask_cancel(By::Member, None, wallets).unwrap_or_default()),
        Step::OrderCancelled => one(payment.cancelled("MEMBER_REQUEST", None, wallets)),
    }
}

/// Goes through every history of `left` more steps.
fn every_history(
    state: &(Payment, Wallets, Vec<Outcome>),
    left: u32,
    check: &mut impl FnMut(&Payment, &Wallets, &[Outcome]),
) {
    check(&state.0, &state.1, &state.2);
    if left == 0 {
        return;
    }
    for step in STEPS {
        let (mut payment, mut wallets, mut outcomes) = state.clone();
        outcomes.extend(take(&mut payment, &mut wallets, step));
        every_history(&(payment, wallets, outcomes), left - 1, check);
    }
}

#[test]
fn whatever_happens_no_money_is_lost_or_made() {
    let start = payment();
    let wallets = with_balance(&start, BALANCE);
    let mut histories = 0;
    every_history(&(start, wallets, Vec::new()), 5, &mut |payment, wallets, outcomes| {
        histories += 1;
        let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|o| wanted(o)).count();
        let approved = count(|o| *o == Outcome::Approved);
        let refunded = count(|o| matches!(o, Outcome::Cancelled(Some(_))));
        assert!(approved <= 1 && refunded <= approved, "{outcomes:?}");
        assert_eq!(payment.state == State::Done, approved == 1 && refunded == 0, "{outcomes:?}");
        let paid = match payment.method {
            Method::Wallet if payment.state == State::Done => AMOUNT,
            // What came from a bank account, and was not told another, is in the wallet then.
            Method::BankTransfer if refunded == 1 => -AMOUNT,
            _ => 0,
        };
        assert_eq!(wallets[&payment.member], Money::krw(BALANCE - paid), "{outcomes:?}");
        let ends =
            count(|o| matches!(o, Outcome::Declined | Outcome::Cancelled(_) | Outcome::Expired));
        assert!(ends <= 1, "{outcomes:?}");
    });
    assert!(histories > 300_000);
}
