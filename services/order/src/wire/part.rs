//! How what is taken back looks elsewhere.

use std::iter::zip;

use base::{Error, Money};
use contracts::order::v1::{
    self as pb, OrderLinesCancelled, ReturnAccepted, ReturnRejected, ReturnRequested,
    order_event::Event,
};

use super::{Wanted, wanted as merged, won};
use crate::{
    domain::{
        Order, ProductId,
        parts::{Action, Pieces},
        pieces::Bears,
    },
    store::parts::{Part, PartState},
};

/// Reads pieces; those of one product are merged.
pub(crate) fn wanted(lines: &[pb::Pieces]) -> Result<Vec<Wanted>, Error> {
    merged(lines.iter().map(|line| (line.product_id.as_str(), line.quantity)))
}

/// Which lines of an order they are of.
pub(crate) fn pieces(order: &Order, wanted: &[Wanted]) -> Result<Vec<Pieces>, Error> {
    let found = wanted.iter().map(|(product, quantity, index)| {
        let line = order.lines.iter().position(|line| line.product == *product);
        let line = line.ok_or_else(|| {
            let field = format!("lines[{index}].productId");
            Error::violation(field, "is not in the order")
        })?;
        Ok(Pieces { line, quantity: *quantity })
    });
    found.collect()
}

fn product(products: &[ProductId], line: usize) -> String {
    products.get(line).map(ToString::to_string).unwrap_or_default()
}

fn products(order: &Order) -> Vec<ProductId> {
    order.lines.iter().map(|line| line.product).collect()
}

fn on_wire(products: &[ProductId], pieces: &[Pieces]) -> Vec<pb::Pieces> {
    let lines = pieces.iter().map(|pieces| pb::Pieces {
        product_id: product(products, pieces.line),
        quantity: pieces.quantity,
    });
    lines.collect()
}

/// The pieces of a part.
pub(crate) fn lines(order: &Order, part: &Part) -> Vec<pb::Pieces> {
    on_wire(&products(order), &part.pieces)
}

fn taken(order: &Order, part: &Part) -> Vec<pb::TakenPieces> {
    let products = products(order);
    let taken = zip(&part.pieces, &part.bears).map(|(pieces, bears)| pb::TakenPieces {
        product_id: product(&products, pieces.line),
        quantity: pieces.quantity,
        coupon_share: Some(won(bears.coupon)),
        points_share: Some(won(bears.points)),
        wallet_share: Some(won(bears.wallet)),
        payable_share: Some(won(bears.payable)),
    });
    taken.collect()
}

fn sum(part: &Part) -> Bears {
    part.bears.iter().copied().fold(Bears::default(), Bears::plus)
}

/// What happened to a part of an order, to be told to others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happened {
    /// Lines were cancelled, before anything of the order was paid or after.
    Cancelled {
        unpaid: bool,
    },
    /// A return is asked for.
    Requested,
    Accepted,
    Rejected,
}

/// The event of what happened to a part.
pub(crate) fn event(order: &Order, part: &Part, happened: Happened) -> Event {
    let (order_id, member_id) = (order.id.to_string(), order.member.to_string());
    let id = part.id.to_string();
    let actor_id = part.actor.map(|id| id.to_string()).unwrap_or_default();
    match happened {
        Happened::Cancelled { unpaid } => Event::OrderLinesCancelled(OrderLinesCancelled {
            order_id,
            member_id,
            part_id: id,
            lines: taken(order, part),
            points: sum(part).points,
            unpaid,
            actor_id,
            note: if part.actor.is_some() { part.reason.clone() } else { String::new() },
        }),
        Happened::Requested => Event::ReturnRequested(ReturnRequested {
            order_id,
            member_id,
            return_id: id,
            lines: lines(order, part),
            reason: part.reason.clone(),
        }),
        Happened::Accepted => Event::ReturnAccepted(ReturnAccepted {
            order_id,
            member_id,
            return_id: id,
            lines: taken(order, part),
            points: sum(part).points,
            actor_id,
        }),
        Happened::Rejected => Event::ReturnRejected(ReturnRejected {
            order_id,
            member_id,
            return_id: id,
            reason: part.reject_reason.clone(),
            actor_id,
        }),
    }
}

/// A return on the wire.
pub(crate) fn returned_of(order: &Order, part: &Part) -> pb::Return {
    returned(&products(order), part)
}

/// A return on the wire; the products are those of the order's lines.
pub(crate) fn returned(products: &[ProductId], part: &Part) -> pb::Return {
    let sum = sum(part);
    let done = part.state == PartState::Done;
    let money = Money::krw(sum.payable).plus(Money::krw(sum.wallet)).unwrap_or(Money::ZERO);
    pb::Return {
        id: part.id.to_string(),
        order_id: part.order.to_string(),
        member_id: part.member.to_string(),
        lines: on_wire(products, &part.pieces),
        reason: part.reason.clone(),
        state: return_state(part.state).into(),
        reject_reason: part.reject_reason.clone(),
        create_time: Some(part.create_time.into()),
        refunded: done.then(|| money.to_wire().into()),
        points_restored: sum.points,
    }
}

fn return_state(state: PartState) -> pb::r#return::State {
    match state {
        // What payment has still to answer is not accepted yet.
        PartState::Requested | PartState::UnderWay => pb::r#return::State::Requested,
        PartState::Done => pb::r#return::State::Accepted,
        PartState::Rejected => pb::r#return::State::Rejected,
        PartState::Cancelled => pb::r#return::State::Cancelled,
    }
}

/// The stored state of the returns that a request asks for.
pub(crate) fn stored_state(state: i32) -> Result<Option<PartState>, Error> {
    use pb::r#return::State;
    match State::try_from(state) {
        Ok(State::Unspecified) => Ok(None),
        Ok(State::Requested) => Ok(Some(PartState::Requested)),
        Ok(State::Accepted) => Ok(Some(PartState::Done)),
        Ok(State::Rejected) => Ok(Some(PartState::Rejected)),
        Ok(State::Cancelled) => Ok(Some(PartState::Cancelled)),
        Err(_) => Err(Error::violation("state", "is not a state of returns")),
    }
}

/// What may be done with an order, on the wire.
pub(super) fn action(action: Action) -> pb::order::Action {
    match action {
        Action::Cancel => pb::order::Action::Cancel,
        Action::CancelLines => pb::order::Action::CancelLines,
        Action::ConfirmReceipt => pb::order::Action::ConfirmReceipt,
        Action::RequestReturn => pb::order::Action::RequestReturn,
        Action::PayDeposit => pb::order::Action::PayDeposit,
    }
}
