//! The rules of wallets: what may go in, what may go out, and a top-up by card, which
//! is in doubt until the acquirer has said what became of it.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use std::ops::RangeInclusive;

use base::{Money, id::Uuid, input::Text};

use super::{MemberId, Refusal};

base::id!(
    /// Identifies a top-up.
    TopUpId
);

/// What one top-up may add, in won.
pub(crate) const TOP_UP: RangeInclusive<i64> = 1..=1_000_000_000;
/// What one adjustment may add or take, in won.
pub(crate) const ADJUSTMENT: RangeInclusive<i64> = -1_000_000_000..=1_000_000_000;
/// What a wallet may be filled to, in won; what it paid before may still come back to it.
pub(super) const BALANCE_MOST: i64 = 1_000_000_000_000;
/// Why somebody did something.
pub(crate) const REASON: Text = Text::new(1, 200);

/// Why money was moved by hand, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) reason: String,
    /// A member's id.
    pub(crate) actor: Uuid,
}

/// A wallet's balance with this much more in it.
pub(crate) fn put_in(balance: Money, amount: Money) -> Result<Money, Refusal> {
    let most = Money::krw(BALANCE_MOST);
    balance.plus(amount).filter(|sum| *sum <= most).ok_or(Refusal::WalletFull)
}

/// A wallet's balance with this much less in it.
pub(crate) fn take_out(balance: Money, amount: Money) -> Result<Money, Refusal> {
    let rest = balance.minus(amount).filter(|rest| !rest.is_negative());
    rest.ok_or(Refusal::InsufficientBalance)
}

/// A wallet's balance after a correction, up or down.
pub(crate) fn adjust(balance: Money, by: Money) -> Result<Money, Refusal> {
    if by.is_negative() {
        // A range that has no `i64::MIN` in it was asked for at the edge.
        take_out(balance, Money::ZERO.minus(by).ok_or(Refusal::InsufficientBalance)?)
    } else {
        put_in(balance, by)
    }
}

/// How far a top-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopUpState {
    /// The acquirer is being asked.
    Authorising,
    /// Nobody waits for the outcome any more: what was charged is refunded.
    Abandoning,
    /// Nothing was charged, as far as the acquirer says.
    Abandoned,
    Done,
    Declined,
    /// Charged after all, and refunded.
    Voided,
}

pg::names!(TopUpState, constraint top_up_state:
    Authorising = "AUTHORISING", Abandoning = "ABANDONING", Abandoned = "ABANDONED", Done = "DONE", Declined = "DECLINED",
    Voided = "VOIDED");

/// A card that is charged to fill a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopUp {
    pub(crate) id: TopUpId,
    pub(crate) member: MemberId,
    pub(crate) amount: Money,
    pub(crate) state: TopUpState,
    pub(crate) acquirer_reference: String,
}

/// What the end of a charge means for the wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charged {
    /// The balance is this now.
    Filled(Money),
    /// To be refunded: nobody waits for it, or the wallet is full.
    Void,
    /// It was known before.
    Known,
}

impl TopUp {
    /// One that has yet to ask the acquirer.
    pub(crate) fn new(id: TopUpId, member: MemberId, amount: Money) -> Self {
        let (state, acquirer_reference) = (TopUpState::Authorising, String::new());
        Self { id, member, amount, state, acquirer_reference }
    }

    /// The acquirer is about to be asked, perhaps once more: it charges once. Answers whether it has to
    /// be asked.
    pub(crate) fn ask(&self) -> Result<bool, Refusal> {
        match self.state {
            TopUpState::Authorising => Ok(true),
            TopUpState::Done => Ok(false),
            TopUpState::Declined => Err(Refusal::CardDeclined),
            TopUpState::Abandoning | TopUpState::Abandoned | TopUpState::Voided => {
                Err(Refusal::TopUpAbandoned)
            }
        }
    }

    /// The acquirer has charged the card.
    pub(crate) fn charged(&mut self, reference: &str, balance: Money) -> Charged {
        match self.state {
            TopUpState::Done | TopUpState::Voided => return Charged::Known,
            TopUpState::Authorising
            | TopUpState::Abandoning
            | TopUpState::Abandoned
            | TopUpState::Declined => {}
        }
        reference.clone_into(&mut self.acquirer_reference);
        match put_in(balance, self.amount) {
            Ok(balance) if self.state == TopUpState::Authorising => {
                self.state = TopUpState::Done;
                Charged::Filled(balance)
            }
            _ => {
                self.state = TopUpState::Voided;
                Charged::Void
            }
        }
    }

    /// Whether it would fit into a wallet that holds so much.
    pub(crate) fn fits(&self, balance: Money) -> bool {
        put_in(balance, self.amount).is_ok()
    }

    /// The acquirer has declined, or has charged nothing that nobody waits for.
    pub(crate) fn not_charged(&mut self) {
        match self.state {
            TopUpState::Authorising => self.state = TopUpState::Declined,
            TopUpState::Abandoning => self.state = TopUpState::Abandoned,
            TopUpState::Abandoned
            | TopUpState::Done
            | TopUpState::Declined
            | TopUpState::Voided => {}
        }
    }

    /// Nobody waits for the outcome any more. False when there is one.
    pub(crate) fn abandon(&mut self) -> bool {
        if self.state == TopUpState::Authorising {
            self.state = TopUpState::Abandoning;
        }
        self.state == TopUpState::Abandoning
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top_up() -> TopUp {
        TopUp::new(TopUpId(base::id::new()), MemberId(base::id::new()), Money::krw(600))
    }

    #[test]
    fn a_balance_stays_within_its_limits_and_never_wraps() {
        let put_in = |balance, won| put_in(Money::krw(balance), Money::krw(won));
        assert_eq!(put_in(999_999_999_999, 1), Ok(Money::krw(1_000_000_000_000)));
        for balance in [1_000_000_000_000, i64::MAX] {
            assert_eq!(put_in(balance, 1), Err(Refusal::WalletFull));
        }
        let full = Refusal::WalletFull.to_string();
        assert_eq!(full, "the wallet would hold more than 1,000,000,000,000 won");
        assert_eq!(adjust(Money::krw(5), Money::krw(-5)), Ok(Money::ZERO));
        assert_eq!(adjust(Money::krw(5), Money::krw(-6)), Err(Refusal::InsufficientBalance));
        assert_eq!(adjust(Money::krw(5), Money::krw(i64::MIN)), Err(Refusal::InsufficientBalance));
    }

    #[test]
    fn a_charge_fills_the_wallet_once_or_is_refunded() {
        let mut good = top_up();
        assert_eq!(good.ask(), Ok(true));
        assert_eq!(good.charged("ref", Money::ZERO), Charged::Filled(Money::krw(600)));
        assert_eq!(good.charged("ref", Money::krw(600)), Charged::Known);
        assert_eq!((good.ask(), good.abandon()), (Ok(false), false));

        let mut late = top_up();
        assert!(late.abandon());
        assert_eq!(late.ask(), Err(Refusal::TopUpAbandoned));
        assert_eq!(late.charged("ref", Money::ZERO), Charged::Void);

        // Whoever asks again before its key is given back is not told that their card was declined.
        let mut nothing = top_up();
        assert!(nothing.abandon());
        nothing.not_charged();
        assert_eq!(nothing.ask(), Err(Refusal::TopUpAbandoned));
        assert_eq!(nothing.charged("ref", Money::ZERO), Charged::Void);

        let mut contradicted = top_up();
        contradicted.not_charged();
        assert_eq!(contradicted.ask(), Err(Refusal::CardDeclined));
        assert_eq!(contradicted.charged("ref", Money::ZERO), Charged::Void);

        let mut full = top_up();
        assert_eq!(full.charged("ref", Money::krw(BALANCE_MOST)), Charged::Void);
    }
}
