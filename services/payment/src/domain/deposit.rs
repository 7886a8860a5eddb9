//! The rules of deposits: which payment one pays, and what is held.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use std::{ops::RangeInclusive, time::SystemTime};

use base::{Money, Refuse, error::Kind, id::Uuid, input::Text};

use super::{Method, OrderId, Payment, PaymentId, State};

base::id!(
    /// Identifies a deposit.
    DepositId
);

/// What may arrive at once, in won.
pub(crate) const DEPOSIT: RangeInclusive<i64> = 1..=1_000_000_000_000;
/// What a bank knows a transaction by.
pub(crate) const BANK_TRANSACTION: Text = Text::new(1, 100);
/// What a depositor wrote.
pub(crate) const REFERENCE: Text = Text::new(0, 100);

/// How far a deposit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DepositState {
    /// Product is being asked for the goods.
    Matching,
    Matched,
    Held,
    Refunding,
    Refunded,
    Credited,
}

pg::names!(DepositState, constraint deposit_state:
    Matching = "MATCHING", Matched = "MATCHED", Held = "HELD", Refunding = "REFUNDING",
    Refunded = "REFUNDED", Credited = "CREDITED");

/// Why a deposit is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HeldReason {
    /// It is not, and never was.
    None,
    Unmatched,
    /// Less than is due; another one may complete it.
    Short,
    Excess,
    Late,
    /// The payment is DONE already.
    Duplicate,
    OutOfStock,
    OrderCancelled,
}

pg::names!(HeldReason, constraint deposit_held_reason:
    None = "", Unmatched = "UNMATCHED", Short = "SHORT", Excess = "EXCESS", Late = "LATE",
    Duplicate = "DUPLICATE", OutOfStock = "OUT_OF_STOCK", OrderCancelled = "ORDER_CANCELLED");

/// What arrived on the shop's bank account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deposit {
    pub(crate) id: DepositId,
    pub(crate) bank_transaction: String,
    pub(crate) amount: Money,
    pub(crate) depositor: String,
    /// What the depositor wrote; may be empty.
    pub(crate) reference: String,
    pub(crate) receive_time: SystemTime,
    pub(crate) state: DepositState,
    pub(crate) held_reason: HeldReason,
    /// The payment that it is about.
    pub(crate) about: Option<(OrderId, PaymentId)>,
    /// How much of it pays the order; while MATCHING: is going to.
    pub(crate) matched: Money,
    pub(crate) held: Money,
    /// Whether it is in the ledger.
    pub(crate) booked: bool,
}

/// What an arriving deposit means to a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With what is held of it already it is all that is due.
    Match,
    Hold(HeldReason),
    /// Another one is being matched right now: ask again.
    Busy,
}

/// Judges a deposit of `amount` for a payment of which `so_far` has arrived, in parts.
pub(crate) fn judge(payment: &Payment, amount: Money, so_far: Money, now: SystemTime) -> Verdict {
    if payment.method != Method::BankTransfer {
        return Verdict::Hold(HeldReason::Unmatched);
    }
    match payment.state {
        State::WaitingForDeposit if payment.deposit_due.is_some_and(|due| now >= due) => {
            Verdict::Hold(HeldReason::Late)
        }
        State::WaitingForDeposit => match so_far.plus(amount) {
            Some(sum) if sum == payment.amount => Verdict::Match,
            Some(sum) if sum < payment.amount => Verdict::Hold(HeldReason::Short),
            _ => Verdict::Hold(HeldReason::Excess),
        },
        State::Confirming => Verdict::Busy,
        State::Done => Verdict::Hold(HeldReason::Duplicate),
        State::Expired => Verdict::Hold(HeldReason::Late),
        State::New | State::Authorising | State::Declined | State::Cancelled | State::Refused => {
            Verdict::Hold(HeldReason::OrderCancelled)
        }
    }
}

impl Deposit {
    /// Holds all of it, and says why.
    pub(crate) fn hold(&mut self, reason: HeldReason) {
        (self.state, self.held_reason) = (DepositState::Held, reason);
        (self.matched, self.held) = (Money::ZERO, self.amount);
    }

    /// Is going to pay this much of what is due for a payment; the rest is held.
    pub(crate) fn begin_match(&mut self, payment: &Payment, due: Money) {
        let matched = due.min(self.amount);
        self.about = Some((payment.order, payment.id));
        self.state = DepositState::Matching;
        (self.matched, self.held) = (matched, self.amount.minus(matched).unwrap_or(Money::ZERO));
    }

    /// Product has set the goods aside.
    pub(crate) fn matched(&mut self) {
        if self.held == Money::ZERO {
            (self.state, self.held_reason) = (DepositState::Matched, HeldReason::None);
        } else {
            (self.state, self.held_reason) = (DepositState::Held, HeldReason::Excess);
        }
    }

    /// What is held of it, if it is held.
    pub(crate) fn held(&self) -> Result<Money, NotHeld> {
        match self.state {
            DepositState::Held => Ok(self.held),
            state => Err(NotHeld(state)),
        }
    }

    /// The same to be matched by hand: all of it, since a part cannot pay two payments.
    pub(crate) fn whole(&self) -> Result<Money, NotHeld> {
        self.held().and_then(|held| {
            if held == self.amount { Ok(held) } else { Err(NotHeld(DepositState::Matched)) }
        })
    }
}

/// It is not held any more, but this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deposit is not held: it is {}", .0.name())]
pub(crate) struct NotHeld(DepositState);

impl Refuse for NotHeld {
    fn kind(&self) -> Kind {
        match self.0 {
            DepositState::Matching => Kind::Unavailable,
            _ => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self.0 {
            DepositState::Matching => "CONFIRMING",
            _ => "DEPOSIT_NOT_HELD",
        }
    }

    fn field(&self) -> Option<String> {
        None
    }
}

/// Digits of a reference, and the values of ISO/IEC 7064's MOD 37,36.
const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// A reference has this many digits at least, its check character not counted.
const DIGITS_LEAST: usize = 5;

/// What the depositor of the payment with this number writes: the number to the base of 36, and a check
/// character by ISO/IEC 7064, MOD 37,36, so that a typing error is none's reference.
pub(crate) fn reference(number: u64) -> String {
    let (mut rest, mut digits) = (number, Vec::new());
    while rest > 0 || digits.len() < DIGITS_LEAST {
        digits.push(rest.checked_rem(36).unwrap_or_default());
        rest = rest.checked_div(36).unwrap_or_default();
    }
    digits.reverse();
    digits.push(check(&digits));
    let text: String = digits.iter().map(|digit| digit_of(*digit)).collect();
    format!("HS-{text}")
}

fn digit_of(value: u64) -> char {
    let at = usize::try_from(value).unwrap_or_default();
    DIGITS.get(at).copied().unwrap_or(b'0').into()
}

/// The check character's value for these values.
#[expect(clippy::arithmetic_side_effects, reason = "no value is above 36")]
fn check(digits: &[u64]) -> u64 {
    let product = digits.iter().fold(36, |product, digit| {
        let sum = match (product + digit) % 36 {
            0 => 36,
            sum => sum,
        };
        (sum * 2) % 37
    });
    (37 - product) % 36
}

/// A reference as it is compared: however it was spaced, and in whatever case.
pub(crate) fn normalised(reference: &str) -> String {
    let kept: String = reference
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_uppercase())
        .collect();
    match kept.strip_prefix("HS") {
        Some(rest) => format!("HS-{rest}"),
        None if kept.is_empty() => String::new(),
        None => format!("HS-{kept}"),
    }
}

/// What a deposit that a seller confirms is called, since no bank said.
pub(crate) fn confirmed_by_hand(payment: Uuid) -> String {
    format!("confirmed-{payment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_is_no_other_reference() {
        // As a Global Release Identifier has it, which is checked the same way.
        let example = b"A12425GABC1234002"
            .map(|digit| DIGITS.iter().position(|known| *known == digit).expect("a digit") as u64);
        assert_eq!(digit_of(check(&example)), 'M');

        let all: std::collections::BTreeSet<String> = (1..5_000).map(reference).collect();
        assert_eq!(all.len(), 4_999);
        for reference in all.iter().take(200) {
            for at in 3..reference.len() {
                for digit in DIGITS {
                    let mut other = reference.clone().into_bytes();
                    other[at] = *digit;
                    let other = String::from_utf8(other).expect("ASCII");
                    assert!(other == *reference || !all.contains(&other), "{other}");
                }
            }
        }
    }

    #[test]
    fn a_reference_is_read_however_it_was_written() {
        let reference = reference(41);
        let bare = &reference[3..];
        for written in [
            reference.clone(),
            reference.to_lowercase(),
            bare.to_owned(),
            format!(" hs {} {}", &bare[..3], &bare[3..]),
        ] {
            assert_eq!(normalised(&written), reference, "{written}");
        }
        assert_eq!(normalised(" - "), "");
    }
}
