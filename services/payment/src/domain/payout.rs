//! The rules of payouts: where money goes to, and what its end means.

#![warn(clippy::arithmetic_side_effects, reason = "money that wraps is money out of nowhere")]

use std::ops::RangeInclusive;

use base::{Error, Money, id::Uuid, input::Text};

use super::{MemberId, OrderId};

base::id!(
    /// Identifies a payout.
    PayoutId
);

/// What one payout may take, in won.
pub(crate) const PAYOUT: RangeInclusive<i64> = 1..=1_000_000_000_000;
/// Whom an account belongs to.
const HOLDER: Text = Text::new(1, 100);

/// A bank account. Its number is never shown, nor said in events or logs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) bank_code: String,
    pub(crate) number: String,
    pub(crate) holder: String,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("number", &self.masked()).finish_non_exhaustive()
    }
}

impl Account {
    /// Reads an account; `field` is its path.
    pub(crate) fn parse(
        field: &str,
        bank_code: &str,
        number: &str,
        holder: &str,
    ) -> Result<Self, Error> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if bank_code.len() != 3 || !digits(bank_code) {
            let field = format!("{field}.bankCode");
            return Err(Error::violation(field, "must be 3 digits, such as 004"));
        }
        let right = (6..=20).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
            && number.bytes().any(|byte| byte.is_ascii_digit());
        if !right {
            let field = format!("{field}.accountNumber");
            return Err(Error::violation(field, "must be 6 to 20 digits and hyphens"));
        }
        let holder = HOLDER.parse(&format!("{field}.holder"), holder)?;
        let (bank_code, number) = (bank_code.to_owned(), number.to_owned());
        Ok(Self { bank_code, number, holder: holder.to_owned() })
    }

    /// The number as it may be shown: all but the last four characters masked.
    pub(crate) fn masked(&self) -> String {
        let shown = self.number.len().saturating_sub(4);
        let mask = |(at, character)| if at < shown { '*' } else { character };
        self.number.chars().enumerate().map(mask).collect()
    }
}

/// How far a payout has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayoutState {
    /// The bank is being asked.
    Requested,
    Sent,
    /// The bank refused: the money is back where it came from.
    Failed,
}

pg::names!(PayoutState, constraint payout_state:
    Requested = "REQUESTED", Sent = "SENT", Failed = "FAILED");

/// Money on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payout {
    pub(crate) id: PayoutId,
    /// Whose it is.
    pub(crate) member: Option<MemberId>,
    /// The deposit that it refunds.
    pub(crate) deposit: Option<Uuid>,
    /// The order whose payment it refunds.
    pub(crate) order: Option<OrderId>,
    pub(crate) amount: Money,
    pub(crate) state: PayoutState,
    pub(crate) account: Account,
    pub(crate) failure: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_bank_a_number_and_a_holder() {
        let parse = |bank, number, holder| Account::parse("account", bank, number, holder);
        let account = parse("004", "110-234-567890", " Kim ").expect("an account");
        assert_eq!((account.masked().as_str(), account.holder.as_str()), ("**********7890", "Kim"));
        assert!(!format!("{account:?}").contains("110"));
        for (bank, number, holder) in [
            ("04", "110234567890", "Kim"),
            ("00a", "110234567890", "Kim"),
            ("004", "11023", "Kim"),
            ("004", "------", "Kim"),
            ("004", "1102345678901234567890", "Kim"),
            ("004", "110 234 567", "Kim"),
            ("004", "110234567890", " "),
        ] {
            assert!(parse(bank, number, holder).is_err(), "{bank} {number} {holder}");
        }
    }
}
