//! The rules of money, one sentence each.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "small numbers, and a test that overflows fails"
)]

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

/// What the payments of these tests do with a charge that nobody wants any more.
fn voided(won: i64) -> Outcome {
    Outcome::Voided(GivenBack { amount: Money::krw(won), to: Tender::Card })
}

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

/// Of an order that the wallet pays nothing of beside its method.
fn ask(payment: &mut Payment, amount: i64) -> Result<Authorise, Refusal> {
    let asked = payment.authorise(Money::krw(amount), Money::ZERO, &mut Wallets::new());
    asked.map(|(next, outcomes)| {
        assert_eq!(outcomes, []);
        next
    })
}

fn placed(method: Method, amount: i64) -> Placed {
    let deposit_due = NOW + DEPOSIT_WITHIN;
    Placed {
        amount: Money::krw(amount),
        wallet: Money::ZERO,
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
    assert_eq!(outcome, [Outcome::Declined]);
    assert_eq!(wallets[&payment.member], Money::krw(1_000));
    assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), []);
}

#[test]
fn a_cancelled_payment_gives_back_all_of_it_once() {
    let mut payment = payment();
    let mut wallets = with_balance(&payment, 1_000);
    let order = placed(Method::Wallet, 600);
    assert_eq!(payment.placed(order.clone(), &mut wallets), [Outcome::Approved]);
    assert_eq!(payment.placed(order, &mut wallets), []);
    assert_eq!(wallets[&payment.member], Money::krw(400));
    let cancelled = payment.cancelled("OUT_OF_STOCK", None, &mut wallets);
    let given_back = GivenBack { amount: Money::krw(600), to: Tender::Wallet };
    assert_eq!(cancelled, [Outcome::Cancelled(Some(given_back))]);
    assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), []);
    assert_eq!(wallets[&payment.member], Money::krw(1_000));
    assert_eq!(payment.reason, "OUT_OF_STOCK");
}

#[test]
fn an_order_cancelled_first_is_never_charged() {
    for method in [Method::Wallet, Method::BankTransfer, Method::Card] {
        let mut payment = payment();
        let mut wallets = with_balance(&payment, 1_000);
        assert_eq!(payment.cancelled("MEMBER_REQUEST", None, &mut wallets), []);
        assert_eq!(payment.placed(placed(method, 600), &mut wallets), []);
        assert_eq!(ask(&mut payment, 600), Err(Refusal::OrderCancelled));
        assert_eq!(payment.state, State::Refused);
        assert_eq!(wallets[&payment.member], Money::krw(1_000));
    }
}

#[test]
fn a_card_is_charged_once_and_voided_when_the_order_was_cancelled_meanwhile() {
    let mut wallets = Wallets::new();
    let mut good = payment();
    assert_eq!(ask(&mut good, 5), Ok(Authorise::Ask));
    assert_eq!(good.charged("ref", &mut wallets), [Outcome::Approved]);
    assert_eq!(good.charged("ref", &mut wallets), []);
    assert_eq!(ask(&mut good, 5), Ok(Authorise::Charged));
    assert_eq!(good.placed(placed(Method::Card, 5), &mut wallets), []);

    let mut late = payment();
    assert_eq!(ask(&mut late, 5), Ok(Authorise::Ask));
    assert_eq!(late.cancelled("MEMBER_REQUEST", None, &mut wallets), []);
    assert_eq!(ask(&mut late, 5), Err(Refusal::OrderCancelled));
    assert_eq!(late.charged("ref", &mut wallets), [voided(5)]);
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
    assert_eq!(payment.expire(&mut wallets), [], "it expires only while it waits");
    assert_eq!(payment.confirmed(&mut wallets), [Outcome::Approved]);
    assert_eq!(payment.confirm(Money::krw(3_000), "Kim", NOW), Ok(None));
    assert_eq!(payment.ask_cancel(By::Member, None, &mut wallets), Err(Refusal::DepositConfirmed));
}

#[test]
fn what_costs_nothing_is_paid_at_once() {
    let mut wallets = Wallets::new();
    for method in [Method::Wallet, Method::BankTransfer] {
        let mut payment = payment();
        assert_eq!(payment.placed(placed(method, 0), &mut wallets), [Outcome::Approved]);
        assert_eq!(payment.state, State::Done);
        let cancelled = payment.cancelled("SHOP_REQUEST", None, &mut wallets);
        assert_eq!(cancelled, [Outcome::Cancelled(None)]);
    }
    assert!(wallets.is_empty());
}

#[test]
fn the_wallet_pays_its_part_or_there_is_no_payment() {
    let with_part = |method| Placed { wallet: Money::krw(400), ..placed(method, 600) };
    let mut transfer = payment();
    let mut wallets = with_balance(&transfer, 1_000);
    let waits = transfer.placed(with_part(Method::BankTransfer), &mut wallets);
    assert_eq!(waits, [Outcome::Reserved, Outcome::DepositRequested]);
    assert_eq!((transfer.total(), wallets[&transfer.member]), (Money::krw(1_000), Money::krw(600)));
    // What is to come by bank is the rest.
    let all = transfer.confirm(Money::krw(1_000), "Kim", NOW);
    assert_eq!(all, Err(Refusal::WrongAmount(Money::krw(600))));
    transfer.confirm(Money::krw(600), "Kim", NOW).expect("the rest");
    assert_eq!(transfer.confirmed(&mut wallets), [Outcome::Approved]);
    let cancelled = transfer.cancelled("SHOP_REQUEST", None, &mut wallets);
    let [Outcome::Cancelled(Some(_)), Outcome::WalletRefunded(part)] = &cancelled[..] else {
        panic!("{cancelled:?}");
    };
    assert_eq!((part.amount, &part.to), (Money::krw(400), &Tender::Wallet));
    assert_eq!(wallets[&transfer.member], Money::krw(1_600));

    let mut short = payment();
    let mut wallets = with_balance(&short, 399);
    let declined = short.placed(with_part(Method::BankTransfer), &mut wallets);
    assert_eq!((declined, &*short.reason), (vec![Outcome::Declined], "INSUFFICIENT_BALANCE"));
    let mut card = payment();
    for mut wallets in [with_balance(&card, 399), Wallets::new()] {
        let refused = card.clone().authorise(Money::krw(600), Money::krw(400), &mut wallets);
        assert_eq!(refused, Err(Refusal::InsufficientBalance));
    }
    let mut wallets = with_balance(&card, 400);
    let charged = card.authorise(Money::ZERO, Money::krw(400), &mut wallets);
    assert_eq!(charged, Ok((Authorise::Charged, vec![Outcome::Reserved, Outcome::Approved])));
    assert_eq!(card.acquirer_reference, "", "nobody was asked for nothing");
}

#[test]
fn a_deposit_after_its_time_is_refused() {
    let mut payment = payment();
    payment.placed(placed(Method::BankTransfer, 3_000), &mut Wallets::new());
    let late = payment.confirm(Money::krw(3_000), "Kim", NOW + DEPOSIT_WITHIN);
    assert_eq!(late, Err(Refusal::DepositExpired));
    assert_eq!(payment.expire(&mut Wallets::new()), [Outcome::Expired]);
    assert_eq!(payment.confirm(Money::krw(3_000), "Kim", NOW), Err(Refusal::DepositExpired));
}

#[test]
fn a_call_to_product_that_never_ran_leaves_the_payment_waiting_unless_another_joined() {
    let mut alone = payment();
    alone.placed(placed(Method::BankTransfer, 1), &mut Wallets::new());
    alone.confirm(Money::krw(1), "Kim", NOW).expect("waits");
    assert_eq!(alone.confirm_never_ran(1, &mut Wallets::new()), (true, Vec::new()));
    assert_eq!(alone.state, State::WaitingForDeposit);

    let mut joined = payment();
    joined.placed(placed(Method::BankTransfer, 1), &mut Wallets::new());
    joined.confirm(Money::krw(1), "Kim", NOW).expect("waits");
    assert_eq!(joined.join_confirm(), Some(2));
    assert_eq!(joined.confirm_never_ran(1, &mut Wallets::new()), (false, Vec::new()));
    assert_eq!(joined.state, State::Confirming);
}

#[test]
fn a_charge_that_was_abandoned_is_neither_taken_for_declined_nor_for_good() {
    let (mut payment, mut charged, mut wallets) = (payment(), payment(), Wallets::new());
    assert_eq!(ask(&mut payment, 3_000), Ok(Authorise::Ask));
    assert!(payment.abandon());
    // Another attempt, before and after the acquirer has forgotten the charge.
    assert_eq!(ask(&mut payment, 3_000), Err(Refusal::OrderCancelled));
    let mut late = payment.clone();
    assert_eq!(payment.not_charged(ABANDONED, &mut wallets), []);
    assert_eq!(ask(&mut payment, 3_000), Err(Refusal::OrderCancelled));
    assert_eq!(late.charged("ref", &mut wallets), [voided(3_000)]);

    ask(&mut charged, 3_000).expect("asks");
    assert_eq!(charged.charged("ref", &mut wallets), [Outcome::Approved]);
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
/// What the wallet pays beside a card or a bank transfer.
const PART: i64 = 70;
const BALANCE: i64 = 1_000;

fn take(payment: &mut Payment, wallets: &mut Wallets, step: Step) -> Vec<Outcome> {
    match step {
        Step::Placed(method) => {
            let wallet = if method == Method::Wallet { 0 } else { PART };
            let placed = Placed { wallet: Money::krw(wallet), ..placed(method, AMOUNT) };
            payment.placed(placed, wallets)
        }
        Step::Authorise => {
            let asked = payment.authorise(Money::krw(AMOUNT), Money::krw(PART), wallets);
            asked.map(|(_, outcomes)| outcomes).unwrap_or_default()
        }
        // The acquirer answers only for what it was asked.
        Step::Charged if payment.method == Method::Card => payment.charged("ref", wallets),
        Step::Charged => Vec::new(),
        Step::NotCharged => payment.not_charged("CARD_DECLINED", wallets),
        Step::Abandon => {
            payment.abandon();
            Vec::new()
        }
        Step::Abandoned => payment.not_charged(ABANDONED, wallets),
        Step::Confirm => {
            let _ = payment.confirm(Money::krw(AMOUNT), "Kim", NOW);
            Vec::new()
        }
        Step::Confirmed => payment.confirmed(wallets),
        Step::ConfirmRefused => payment.confirm_refused("OUT_OF_STOCK", wallets),
        Step::ConfirmNeverRan => payment.confirm_never_ran(payment.attempts, wallets).1,
        Step::Expire => payment.expire(wallets),
        Step::AskCancel => payment.ask_cancel(By::Member, None, wallets).unwrap_or_default(),
        Step::OrderCancelled => payment.cancelled("MEMBER_REQUEST", None, wallets),
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
            // The wallet's part is held while the payment is open, and paid when it is done.
            Method::Card | Method::BankTransfer => match payment.state {
                State::Authorising | State::WaitingForDeposit | State::Confirming | State::Done => {
                    PART
                }
                _ => 0,
            },
            Method::Wallet => 0,
        };
        assert_eq!(wallets[&payment.member], Money::krw(BALANCE - paid), "{outcomes:?}");
        let (reserved, released) =
            (count(|o| *o == Outcome::Reserved), count(|o| *o == Outcome::Released));
        let back = count(|o| matches!(o, Outcome::WalletRefunded(_)));
        assert!(reserved <= 1 && released + back <= reserved, "{outcomes:?}");
        assert!(back <= refunded, "{outcomes:?}");
        let ends =
            count(|o| matches!(o, Outcome::Declined | Outcome::Cancelled(_) | Outcome::Expired));
        assert!(ends <= 1, "{outcomes:?}");
    });
    assert!(histories > 300_000);
}
