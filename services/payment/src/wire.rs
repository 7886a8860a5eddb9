//! How payments and wallets look elsewhere: on the wire, in events, and in the database, where states and
//! methods have their names from the contract.

use std::time::SystemTime;

use base::{Error, Money, id::Uuid};
use contracts::{
    order::v1::{BankAccount, PaymentMethod},
    payment::v1::{
        self as pb, DepositCredited, DepositExpired, DepositMatched, DepositReduced,
        DepositRefunded, DepositRequested, PaymentApproved, PaymentCancelled, PaymentDeclined,
        PaymentPartRefunded, PaymentRefunded, RefundRetried, RefundSettled, WalletAdjusted,
        WalletToppedUp, payment_event::Event,
    },
};

use crate::{
    domain::{
        MemberId, Method, OrderId, Outcome, Payment, State,
        deposit::{Deposit, DepositState},
        payout::PayoutState,
        refund::{Of, Refund, RefundState},
        wallet::Note,
    },
    store::{Entry, Stored, StoredPayout, StoredRefund, deposit::Stored as StoredDeposit},
};

/// A payment on the wire.
pub(crate) fn payment(stored: &Stored, refunds: &[StoredRefund]) -> pb::Payment {
    let payment = &stored.payment;
    pb::Payment {
        id: payment.id.to_string(),
        order_id: payment.order.to_string(),
        member_id: payment.member.to_string(),
        method: method(payment.method).into(),
        amount: Some(sum(payment.paid()).to_wire().into()),
        state: state_of(payment.state).into(),
        deposit_due_time: payment.deposit_due.map(Into::into),
        deposit_reference: payment.deposit_due.map(|_| reference(payment)).unwrap_or_default(),
        cancel_reason: payment.reason.clone(),
        etag: etag(stored),
        create_time: Some(stored.create_time.into()),
        refunds: refunds.iter().map(|it| refund(&it.refund, Some(it.create_time))).collect(),
        parts: parts(payment),
    }
}

fn sum((by_method, by_wallet): (Money, Money)) -> Money {
    by_method.plus(by_wallet).expect("no more than an order may cost")
}

/// Who pays how much of a payment.
fn parts(payment: &Payment) -> Vec<pb::PaymentPart> {
    let (by_method, by_wallet) = payment.paid();
    [(Method::Wallet, by_wallet), (payment.method, by_method)]
        .into_iter()
        .filter(|(_, amount)| *amount != Money::ZERO)
        .map(|(by, amount)| pb::PaymentPart {
            method: method(by).into(),
            amount: Some(amount.to_wire().into()),
        })
        .collect()
}

/// A refund on the wire.
fn refund(refund: &Refund, create_time: Option<SystemTime>) -> pb::Refund {
    let state = match refund.state {
        RefundState::Refunding => pb::refund::State::Refunding,
        RefundState::Refunded => pb::refund::State::Refunded,
        RefundState::Failed => pb::refund::State::Failed,
    };
    pb::Refund {
        tender: method(refund.tender).into(),
        amount: Some(refund.amount.to_wire().into()),
        state: state.into(),
        payout_id: refund.payout.map(|id| id.to_string()).unwrap_or_default(),
        create_time: create_time.map(Into::into),
        id: refund.id.to_string(),
        part_id: refund.part.map(|part| part.to_string()).unwrap_or_default(),
        ..pb::Refund::default()
    }
}

/// What a member reads of a payment: that a refund failed is the shop's matter.
pub(crate) fn for_member(mut payment: pb::Payment) -> pb::Payment {
    for refund in &mut payment.refunds {
        if refund.state() == pb::refund::State::Failed {
            refund.set_state(pb::refund::State::Refunding);
        }
    }
    payment
}

/// A refund by itself, with what its shop alone is told.
pub(crate) fn whole_refund(stored: &StoredRefund) -> pb::Refund {
    let it = &stored.refund;
    let (reason, actor) = stored
        .settled
        .clone()
        .map(|note| (note.reason, note.actor.to_string()))
        .unwrap_or_default();
    pb::Refund {
        payment_id: stored.payment.map(|id| id.to_string()).unwrap_or_default(),
        order_id: it.of.order().map(|order| order.to_string()).unwrap_or_default(),
        member_id: it.member.to_string(),
        top_up_id: match it.of {
            Of::TopUp(top_up) => top_up.to_string(),
            Of::Payment(_) | Of::Charge(_) => String::new(),
        },
        failure: stored.failure.clone(),
        settle_reason: reason,
        settled_by: actor,
        ..refund(it, Some(stored.create_time))
    }
}

/// The event of somebody who has the acquirer asked again.
pub(crate) fn refund_retried(refund: &Refund, actor: Uuid) -> Event {
    Event::RefundRetried(RefundRetried {
        refund_id: refund.id.to_string(),
        amount: Some(refund.amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of a refund that somebody settled by hand.
pub(crate) fn refund_settled(refund: &Refund, by: &Note) -> Event {
    Event::RefundSettled(RefundSettled {
        refund_id: refund.id.to_string(),
        member_id: refund.member.to_string(),
        tender: method(refund.tender).into(),
        amount: Some(refund.amount.to_wire().into()),
        reason: by.reason.clone(),
        actor_id: by.actor.to_string(),
    })
}

/// The event of a refund that has gone on.
pub(crate) fn refund_event(payment: Uuid, order: OrderId, stored: &StoredRefund) -> Event {
    Event::PaymentRefunded(PaymentRefunded {
        payment_id: payment.to_string(),
        order_id: order.to_string(),
        member_id: stored.refund.member.to_string(),
        refund: Some(refund(&stored.refund, Some(stored.create_time))),
        of_part: stored.refund.part.is_some(),
    })
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

/// A deposit on the wire.
pub(crate) fn deposit(stored: &StoredDeposit) -> pb::Deposit {
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
pub(crate) fn deposit_matched(deposit: &Deposit, actor: Uuid) -> Event {
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
pub(crate) fn deposit_refunded(deposit: &Deposit, amount: Money, actor: Uuid) -> Event {
    Event::DepositRefunded(DepositRefunded {
        deposit_id: deposit.id.to_string(),
        amount: Some(amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of a deposit that went into a wallet.
pub(crate) fn deposit_credited(
    deposit: &Deposit,
    member: MemberId,
    amount: Money,
    actor: Uuid,
) -> Event {
    Event::DepositCredited(DepositCredited {
        deposit_id: deposit.id.to_string(),
        member_id: member.to_string(),
        amount: Some(amount.to_wire().into()),
        actor_id: actor.to_string(),
    })
}

/// The event of an outcome; none for what others never knew.
pub(crate) fn event(payment: &Payment, outcome: &Outcome, refunds: &[Refund]) -> Option<Event> {
    let given_back = refunds.first();
    let payment_id = payment.id.to_string();
    let (order_id, member_id) = (payment.order.to_string(), payment.member.to_string());
    let reason = payment.reason.clone();
    Some(match outcome {
        Outcome::DepositRequested => Event::DepositRequested(DepositRequested {
            payment_id,
            order_id,
            member_id,
            amount: Some(payment.amount.to_wire().into()),
            due_time: payment.deposit_due.map(Into::into),
            reference: reference(payment),
        }),
        Outcome::Approved => Event::PaymentApproved(PaymentApproved {
            payment_id,
            order_id,
            member_id,
            amount: Some(payment.total().to_wire().into()),
            method: method(payment.method).into(),
        }),
        // The order asked, and has its answer: it is not placed.
        Outcome::Declined if payment.method == Method::Card => return None,
        Outcome::Declined => {
            Event::PaymentDeclined(PaymentDeclined { payment_id, order_id, member_id, reason })
        }
        Outcome::Cancelled(_) => Event::PaymentCancelled(PaymentCancelled {
            payment_id,
            order_id,
            member_id,
            refunded: Some(given_back.map_or(Money::ZERO, |it| it.amount).to_wire().into()),
            reason,
            refund: given_back.map(|it| refund(it, None)),
        }),
        Outcome::Expired => {
            Event::DepositExpired(DepositExpired { payment_id, order_id, member_id })
        }
        Outcome::WalletRefunded(_) => Event::PaymentRefunded(PaymentRefunded {
            payment_id,
            order_id,
            member_id,
            refund: given_back.map(|it| refund(it, None)),
            of_part: false,
        }),
        Outcome::Reduced { part, .. } => Event::DepositReduced(DepositReduced {
            payment_id,
            order_id,
            member_id,
            part_id: part.to_string(),
            amount: Some(payment.amount.to_wire().into()),
        }),
        Outcome::PartRefunded { .. } => return part_refunded(payment, outcome, refunds),
        Outcome::Voided(_) | Outcome::Reserved | Outcome::Released => return None,
    })
}

/// The event of a part that goes back.
fn part_refunded(payment: &Payment, outcome: &Outcome, refunds: &[Refund]) -> Option<Event> {
    let Outcome::PartRefunded { part, by_method, by_wallet } = outcome else { return None };
    // A refund for each of the two that there is, in this order.
    let mut refunds = refunds.iter().map(|it| refund(it, None));
    Some(Event::PaymentPartRefunded(PaymentPartRefunded {
        payment_id: payment.id.to_string(),
        order_id: payment.order.to_string(),
        member_id: payment.member.to_string(),
        part_id: part.to_string(),
        amount_left: Some(payment.total().to_wire().into()),
        refund: by_method.as_ref().and_then(|_| refunds.next()),
        wallet_refund: by_wallet.as_ref().and_then(|_| refunds.next()),
    }))
}

/// What a depositor writes. Payments of versions before have none of their own, but the end of their id.
fn reference(payment: &Payment) -> String {
    if !payment.reference.is_empty() {
        return payment.reference.clone();
    }
    let id = payment.id.0.simple().to_string();
    format!("HS-{}", id[id.len() - 8..].to_uppercase())
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

/// A method on the wire.
pub(crate) fn method(method: Method) -> PaymentMethod {
    match method {
        Method::Card => PaymentMethod::Card,
        Method::Wallet => PaymentMethod::Wallet,
        Method::BankTransfer => PaymentMethod::BankTransfer,
    }
}

/// A state on the wire.
pub(crate) fn state_of(state: State) -> pb::payment::State {
    match state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::payment::State::Unspecified,
        State::Authorising => pb::payment::State::Authorising,
        State::WaitingForDeposit => pb::payment::State::WaitingForDeposit,
        State::Confirming => pb::payment::State::Confirming,
        State::Done => pb::payment::State::Done,
        State::Declined => pb::payment::State::Declined,
        State::Cancelled => pb::payment::State::Cancelled,
        State::Expired => pb::payment::State::Expired,
    }
}

/// A method from an event.
pub(crate) fn method_from(method: PaymentMethod) -> Result<Method, Error> {
    match method {
        PaymentMethod::Card => Ok(Method::Card),
        PaymentMethod::Wallet => Ok(Method::Wallet),
        PaymentMethod::BankTransfer => Ok(Method::BankTransfer),
        PaymentMethod::Unspecified => Err(Error::violation("payment_method", "is required")),
    }
}
