//! How payments and wallets look on the wire.

use base::Money;
use contracts::payment::v1 as pb;

use crate::{
    domain::MemberId,
    store::{Entry, Stored},
    words,
};

/// A payment on the wire.
pub(crate) fn payment(stored: &Stored) -> pb::Payment {
    let payment = &stored.payment;
    pb::Payment {
        id: payment.id.to_string(),
        order_id: payment.order.to_string(),
        member_id: payment.member.to_string(),
        method: words::wire_method(payment.method).into(),
        amount: Some(payment.amount.to_wire().into()),
        state: words::wire_state(payment.state).into(),
        deposit_due_time: payment.deposit_due.map(Into::into),
        deposit_reference: payment
            .deposit_due
            .map(|_| words::reference(payment))
            .unwrap_or_default(),
        cancel_reason: payment.reason.clone(),
        etag: etag(stored),
        create_time: Some(stored.create_time.into()),
    }
}

/// Changes with every change of a payment.
pub(crate) fn etag(stored: &Stored) -> String {
    stored.version.to_string()
}

/// A wallet on the wire.
pub(crate) fn wallet(member: MemberId, balance: Money) -> pb::Wallet {
    pb::Wallet { member_id: member.to_string(), balance: Some(balance.to_wire().into()) }
}

/// A wallet's movement on the wire.
pub(crate) fn entry(entry: &Entry) -> pb::WalletEntry {
    let kind = pb::wallet_entry::Kind::from_str_name(&entry.kind).unwrap_or_default();
    pb::WalletEntry {
        id: entry.id.to_string(),
        kind: kind.into(),
        amount: Some(entry.amount.to_wire().into()),
        order_id: entry.order.map(|id| id.to_string()).unwrap_or_default(),
        create_time: Some(entry.create_time.into()),
    }
}
