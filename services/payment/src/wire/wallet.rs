//! How wallets and payouts look elsewhere: on the wire and in events.

use base::{Money, id::Uuid};
use contracts::{
    order::v1::BankAccount,
    payment::v1::{self as pb, WalletAdjusted, WalletToppedUp, payment_event::Event},
};

use crate::{
    domain::{MemberId, payout::PayoutState, wallet::Note},
    store::{Entry, StoredPayout},
};

/// A wallet on the wire.
pub(crate) fn wallet(member: MemberId, balance: Money) -> pb::Wallet {
    pb::Wallet { member_id: member.to_string(), balance: Some(balance.to_wire().into()) }
}

/// A wallet's movement on the wire.
pub(crate) fn entry(entry: &Entry) -> pb::WalletEntry {
    let kind = match entry.kind.as_str() {
        // What the wallet pays beside the method.
        "WALLET_RESERVED" => pb::wallet_entry::Kind::Payment,
        "WALLET_RELEASED" | "WALLET_REFUND" | "REFUND_SETTLED" | "CHARGE_RETURNED" => {
            pb::wallet_entry::Kind::Refund
        }
        kind => pb::wallet_entry::Kind::from_str_name(kind).unwrap_or_default(),
    };
    let paid_out =
        matches!(kind, pb::wallet_entry::Kind::Payout | pb::wallet_entry::Kind::PayoutFailed);
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    pb::WalletEntry {
        id: entry.id.to_string(),
        kind: kind.into(),
        amount: Some(entry.amount.to_wire().into()),
        order_id: text(entry.order),
        create_time: Some(entry.create_time.into()),
        reason: entry.reason.clone(),
        actor_id: text(entry.actor),
        payout_id: text(entry.subject.filter(|_| paid_out)),
    }
}

/// A payout on the wire, its account masked.
pub(crate) fn payout(stored: &StoredPayout) -> pb::Payout {
    let payout = &stored.payout;
    let state = match payout.state {
        PayoutState::Requested => pb::payout::State::Requested,
        PayoutState::Sent => pb::payout::State::Sent,
        PayoutState::Failed => pb::payout::State::Failed,
    };
    pb::Payout {
        id: payout.id.to_string(),
        member_id: payout.member.map(|id| id.to_string()).unwrap_or_default(),
        deposit_id: payout.deposit.map(|id| id.to_string()).unwrap_or_default(),
        order_id: payout.order.map(|id| id.to_string()).unwrap_or_default(),
        amount: Some(payout.amount.to_wire().into()),
        state: state.into(),
        account: Some(BankAccount {
            bank_code: payout.account.bank_code.clone(),
            account_number: payout.account.masked(),
            holder: payout.account.holder.clone(),
        }),
        // Until it has failed, the bank may still send it.
        failure: match payout.state {
            PayoutState::Failed => payout.failure.clone(),
            PayoutState::Requested | PayoutState::Sent => String::new(),
        },
        create_time: Some(stored.create_time.into()),
    }
}

/// The event of a top-up.
pub(crate) fn topped_up(member: MemberId, amount: Money) -> Event {
    Event::WalletToppedUp(WalletToppedUp {
        member_id: member.to_string(),
        amount: Some(amount.to_wire().into()),
    })
}

/// The event of an adjustment.
pub(crate) fn adjusted(member: MemberId, by: Money, note: &Note) -> Event {
    Event::WalletAdjusted(WalletAdjusted {
        member_id: member.to_string(),
        amount: Some(by.to_wire().into()),
        reason: note.reason.clone(),
        actor_id: note.actor.to_string(),
    })
}
