//! The words that payments go by elsewhere: in events, and in the database,
//! where states and methods have their names from the contract.

use contracts::{
    order::v1::PaymentMethod,
    payment::v1::{
        self as pb, PaymentApproved, PaymentCancelled, PaymentDeclined, PaymentEvent,
        WalletToppedUp, payment_event::Event,
    },
};
use kit::{Error, Money};
use prost::Message as _;

use crate::domain::{MemberId, Method, Outcome, Payment, State};

/// The event of an outcome: its name and its encoded message; none for a quiet one.
pub(crate) fn event(payment: &Payment, outcome: &Outcome) -> Option<(&'static str, Vec<u8>)> {
    let payment_id = payment.id.to_string();
    let (order_id, member_id) = (payment.order.to_string(), payment.member.to_string());
    let (kind, event) = match outcome {
        Outcome::Approved => (
            "PaymentApproved",
            Event::PaymentApproved(PaymentApproved {
                payment_id,
                order_id,
                member_id,
                amount: Some(payment.amount.to_wire().into()),
                method: wire_method(payment.method).into(),
            }),
        ),
        Outcome::Declined => (
            "PaymentDeclined",
            Event::PaymentDeclined(PaymentDeclined {
                payment_id,
                order_id,
                member_id,
                reason: payment.reason.clone(),
            }),
        ),
        Outcome::Cancelled(refunded) => (
            "PaymentCancelled",
            Event::PaymentCancelled(PaymentCancelled {
                payment_id,
                order_id,
                member_id,
                refunded: Some(refunded.to_wire().into()),
                reason: payment.reason.clone(),
            }),
        ),
        Outcome::Quiet => return None,
    };
    Some((kind, PaymentEvent { frame: None, event: Some(event) }.encode_to_vec()))
}

/// The event of a top-up.
pub(crate) fn topped_up(member: MemberId, amount: Money) -> (&'static str, Vec<u8>) {
    let event = Event::WalletToppedUp(WalletToppedUp {
        member_id: member.to_string(),
        amount: Some(amount.to_wire().into()),
    });
    ("WalletToppedUp", PaymentEvent { frame: None, event: Some(event) }.encode_to_vec())
}

/// A method on the wire.
pub(crate) fn wire_method(method: Method) -> PaymentMethod {
    match method {
        Method::Card => PaymentMethod::Card,
        Method::Wallet => PaymentMethod::Wallet,
        Method::BankTransfer => PaymentMethod::BankTransfer,
    }
}

/// A state on the wire.
pub(crate) fn wire_state(state: State) -> pb::payment::State {
    match state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::payment::State::Unspecified,
        State::Done => pb::payment::State::Done,
        State::Declined => pb::payment::State::Declined,
        State::Cancelled => pb::payment::State::Cancelled,
    }
}

/// A method as the database has it.
pub(crate) fn method_name(method: Method) -> &'static str {
    wire_method(method).as_str_name()
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

/// A stored method.
pub(crate) fn method(name: &str) -> Result<Method, Error> {
    PaymentMethod::from_str_name(name)
        .ok_or_else(|| Error::internal(format!("payment method {name}")))
        .and_then(method_from)
}

/// A state as the database has it.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::New => "NEW",
        State::Done => "DONE",
        State::Declined => "DECLINED",
        State::Cancelled => "CANCELLED",
        State::Refused => "REFUSED",
    }
}

/// A stored state.
pub(crate) fn state(name: &str) -> Result<State, Error> {
    match name {
        "NEW" => Ok(State::New),
        "DONE" => Ok(State::Done),
        "DECLINED" => Ok(State::Declined),
        "CANCELLED" => Ok(State::Cancelled),
        "REFUSED" => Ok(State::Refused),
        other => Err(Error::internal(format!("payment state {other}"))),
    }
}
