//! A bank that sends nothing: accounts that end in 0000 fail, all others get their money.

use super::Paid;
use crate::domain::payout::Account;

/// What this bank says to a payout.
pub(crate) fn pay(account: &Account) -> Paid {
    if account.number.ends_with("0000") {
        Paid::Failed("ACCOUNT_CLOSED".into())
    } else {
        Paid::Sent
    }
}
