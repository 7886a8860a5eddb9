//! How payments look elsewhere: on the wire, in events, and in the database, where states and methods have
//! their names from the contract.

pub(crate) mod deposit;
pub(crate) mod refund;
pub(crate) mod wallet;

use base::{Error, Money};
use contracts::{
    order::v1::PaymentMethod,
    payment::v1::{
        self as pb, DepositExpired, DepositReduced, DepositRequested, PaymentApproved,
        PaymentCancelled, PaymentDeclined, PaymentPartRefunded, PaymentRefunded,
        payment_event::Event,
    },
};

use self::refund::refund;
use crate::{
    domain::{Method, Outcome, Payment, State, refund::Refund},
    store::{Stored, StoredRefund},
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

/// What a member reads of a payment: that a refund failed is the shop's matter.
pub(crate) fn for_member(mut payment: pb::Payment) -> pb::Payment {
    for refund in &mut payment.refunds {
        if refund.state() == pb::refund::State::Failed {
            refund.set_state(pb::refund::State::Refunding);
        }
    }
    payment
}

/// Changes with every change of a payment.
pub(crate) fn etag(stored: &Stored) -> String {
    stored.version.to_string()
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
