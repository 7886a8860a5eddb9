//! How deposits look elsewhere: on the wire and in events.

use base::{Money, id::Uuid};
use contracts::payment::v1::{
    self as pb, DepositCredited, DepositMatched, DepositRefunded, payment_event::Event,
};

use crate::{
    domain::{
        MemberId,
        deposit::{Deposit, DepositState},
    },
    store::deposit::Stored,
};

/// A deposit on the wire.
pub(crate) fn deposit(stored: &Stored) -> pb::Deposit {
    let deposit = &stored.deposit;
    let state = match deposit.state {
        // While the goods are asked for it is nobody's yet.
        DepositState::Matching | DepositState::Held => pb::deposit::State::Held,
        DepositState::Matched => pb::deposit::State::Matched,
        DepositState::Refunding => pb::deposit::State::Refunding,
        DepositState::Refunded => pb::deposit::State::Refunded,
        DepositState::Credited => pb::deposit::State::Credited,
    };
    let reason = pb::deposit::HeldReason::from_str_name(deposit.held_reason.name());
    let (order, payment) = deposit.about.unzip();
    pb::Deposit {
        id: deposit.id.to_string(),
        bank_transaction_id: deposit.bank_transaction.clone(),
        amount: Some(deposit.amount.to_wire().into()),
        depositor_name: deposit.depositor.clone(),
        reference: deposit.reference.clone(),
        receive_time: Some(deposit.receive_time.into()),
        state: state.into(),
        held_reason: reason.unwrap_or_default().into(),
        payment_id: payment.map(|id| id.to_string()).unwrap_or_default(),
        order_id: order.map(|id| id.to_string()).unwrap_or_default(),
        matched_amount: Some(deposit.matched.to_wire().into()),
        held_amount: Some(deposit.held.to_wire().into()),
        etag: stored.version.to_string(),
        create_time: Some(stored.create_time.into()),
    }
}

/// The event of a match by hand.
pub(crate) fn matched(deposit: &Deposit, actor: Uuid) -> Event {
    let (order, payment) = deposit.about.unzip();
    Event::DepositMatched(DepositMatched {
        deposit_id: deposit.id.to_string(),
        payment_id: payment.map(|id| id.to_string()).unwrap_or_default(),
        order_id: order.map(|id| id.to_string()).unwrap_or_default(),
        amount: Some(deposit.amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of a deposit that goes back.
pub(crate) fn refunded(deposit: &Deposit, amount: Money, actor: Uuid) -> Event {
    Event::DepositRefunded(DepositRefunded {
        deposit_id: deposit.id.to_string(),
        amount: Some(amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of a deposit that went into a wallet.
pub(crate) fn credited(deposit: &Deposit, member: MemberId, amount: Money, actor: Uuid) -> Event {
    Event::DepositCredited(DepositCredited {
        deposit_id: deposit.id.to_string(),
        member_id: member.to_string(),
        amount: Some(amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}
