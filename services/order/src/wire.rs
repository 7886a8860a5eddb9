//! How an order looks elsewhere: on the wire, in events, and in the database, where states, methods and
//! reasons have their names from the contract.

pub(crate) mod part;

use std::iter;

use base::{Error, Money, input};
use contracts::order::v1::{
    self as pb, OrderAwaitingDeposit, OrderCancelled, OrderClosed, OrderDelivered, OrderDelivering,
    OrderPaid, OrderPlaced, OrderPrepared, order_event::Event,
};

use crate::{
    domain::{
        self, ByShop, CancelReason, CloseReason, LINES, Line, Method, Order, ProductId, QUANTITY,
        State,
        checkout::{Share, Won},
        parts::Taken,
    },
    store::Stored,
};

/// An order on the wire.
pub(crate) fn order(stored: &Stored) -> pb::Order {
    let order = &stored.order;
    let state = order.state();
    let reason = match state {
        State::Cancelled(reason) => reason.name(),
        _ => "CANCEL_REASON_UNSPECIFIED",
    };
    let actions = order.actions(stored.now).into_iter();
    pb::Order {
        id: order.id.to_string(),
        member_id: order.member.to_string(),
        lines: shared_lines(order),
        total: Some(order.total.to_wire().into()),
        payment_method: method(order.method).into(),
        payment_id: order.payment.map(|id| id.to_string()).unwrap_or_default(),
        state: state_of(state).into(),
        cancel_reason: pb::order::CancelReason::from_str_name(reason).unwrap_or_default().into(),
        create_time: Some(stored.create_time.into()),
        etag: etag(stored),
        goods_total: Some(order.total.to_wire().into()),
        coupon_id: coupon_id(order),
        coupon_discount: Some(won(order.checkout.discount)),
        points_used: order.checkout.points,
        wallet_used: Some(won(order.checkout.wallet)),
        payable: Some(order.checkout.payable(order.total).to_wire().into()),
        close_reason: close_reason(order, state).into(),
        allowed_actions: actions.map(|it| part::action(it).into()).collect(),
        returnable_until: order.returnable_until().map(Into::into),
    }
}

/// Why it is closed, when it is.
fn close_reason(order: &Order, state: State) -> pb::order::CloseReason {
    match (state, order.facts.closed) {
        (State::Closed, Some(CloseReason::MemberConfirmed)) => {
            pb::order::CloseReason::MemberConfirmed
        }
        (State::Closed, Some(CloseReason::DaysAfterDelivery)) => {
            pb::order::CloseReason::DaysAfterDelivery
        }
        (State::Closed, Some(CloseReason::DaysAfterStart)) => {
            pb::order::CloseReason::DaysAfterStart
        }
        _ => pb::order::CloseReason::Unspecified,
    }
}

/// A product, how many of it, and the line that named it first.
pub(crate) type Wanted = (ProductId, i32, usize);

/// Reads the lines; those of one product are merged.
pub(crate) fn wanted<'a>(
    lines: impl ExactSizeIterator<Item = (&'a str, i32)>,
) -> Result<Vec<Wanted>, Error> {
    input::count("lines", lines.len(), &LINES)?;
    let mut wanted: Vec<Wanted> = Vec::new();
    for (index, (product, quantity)) in lines.enumerate() {
        let product = ProductId::parse(&format!("lines[{index}].productId"), product)?;
        let field = format!("lines[{index}].quantity");
        let quantity = input::number(&field, quantity, &QUANTITY)?;
        match wanted.iter_mut().find(|(known, ..)| *known == product) {
            Some((_, sum, _)) => *sum = domain::more_of(&field, *sum, quantity)?,
            None => wanted.push((product, quantity, index)),
        }
    }
    Ok(wanted)
}

/// An amount on the wire.
pub(crate) fn won(won: Won) -> contracts::Money {
    Money::krw(won).to_wire().into()
}

/// An amount that is absent when it is nothing.
pub(crate) fn unless_zero(amount: Won) -> Option<contracts::Money> {
    (amount != 0).then(|| won(amount))
}

fn coupon_id(order: &Order) -> String {
    order.checkout.coupon.map(|id| id.to_string()).unwrap_or_default()
}

/// Changes with every change of the order.
pub(crate) fn etag(stored: &Stored) -> String {
    stored.version.to_string()
}

/// The event of a milestone. CANCELLING is none.
pub(crate) fn event(order: &Order, milestone: State) -> Option<Event> {
    let (order_id, member_id) = (order.id.to_string(), order.member.to_string());
    Some(match milestone {
        State::Placed => Event::OrderPlaced(OrderPlaced {
            order_id,
            member_id,
            lines: told_lines(order),
            total: Some(order.total.to_wire().into()),
            payment_method: method(order.method).into(),
            amount: Some(order.checkout.amount(order.total))
                .filter(|amount| *amount != order.total)
                .map(|amount| amount.to_wire().into()),
            wallet_amount: unless_zero(order.checkout.wallet),
            coupon_id: coupon_id(order),
            coupon_discount: unless_zero(order.checkout.discount),
            points: order.checkout.points,
        }),
        State::AwaitingDeposit => {
            Event::OrderAwaitingDeposit(OrderAwaitingDeposit { order_id, member_id })
        }
        State::Paid => Event::OrderPaid(OrderPaid {
            order_id,
            member_id,
            lines: kept_lines(order),
            payment_id: order.payment.map(|id| id.to_string()).unwrap_or_default(),
        }),
        State::Prepared => {
            Event::OrderPrepared(OrderPrepared { order_id, member_id, lines: kept_lines(order) })
        }
        State::Delivering => Event::OrderDelivering(OrderDelivering { order_id, member_id }),
        State::Delivered => {
            let returnable_until = order.returnable_until().map(Into::into);
            Event::OrderDelivered(OrderDelivered { order_id, member_id, returnable_until })
        }
        State::Closed => {
            let reason = close_reason(order, milestone).into();
            let returnable_until = order.returnable_until().map(Into::into);
            Event::OrderClosed(OrderClosed { order_id, member_id, reason, returnable_until })
        }
        State::Pending | State::Aborting | State::Cancelling => return None,
        State::Cancelled(reason) => Event::OrderCancelled(OrderCancelled {
            order_id,
            member_id,
            reason: pb::order::CancelReason::from_str_name(reason.name())
                .unwrap_or_default()
                .into(),
            lines: told_lines(order),
            actor_id: shop_of(order, reason).map(|it| it.actor.to_string()).unwrap_or_default(),
            note: shop_of(order, reason).map(|it| it.note.clone()).unwrap_or_default(),
            coupon_id: coupon_id(order),
            points: order.checkout.points,
            // An order asks for its coupon and its points only while it is PENDING, and one that is PENDING
            // is given up, never cancelled: so a late call concerns an order whose event names what it used.
            says_checkout: true,
        }),
    })
}

/// Who of the shop cancelled it, if that is why.
fn shop_of(order: &Order, reason: CancelReason) -> Option<&ByShop> {
    order.wish.by_shop.as_ref().filter(|_| reason == CancelReason::ShopRequest)
}

/// Lines in events: with their shares where there is something to share.
fn told_lines(order: &Order) -> Vec<pb::OrderLine> {
    if order.checkout.shares.is_empty() {
        return order.lines.iter().map(line).collect();
    }
    shared_lines(order)
}

/// What is left of the lines, in events: so many pieces are to be taken from the stock, and delivered.
fn kept_lines(order: &Order) -> Vec<pb::OrderLine> {
    let lines = told_lines(order);
    let kept = order.kept().filter_map(|(line, quantity)| {
        let line = lines.get(line)?.clone();
        Some(pb::OrderLine { quantity, ..line })
    });
    kept.collect()
}

/// Lines with what each bears, and what has been taken back of it.
fn shared_lines(order: &Order) -> Vec<pb::OrderLine> {
    let shares = order.checkout.shares.iter().copied().chain(iter::repeat(Share::default()));
    let shared = |((of, taken), share): ((&Line, Taken), Share)| pb::OrderLine {
        coupon_share: Some(won(share.coupon)),
        points_share: Some(won(share.points)),
        wallet_share: Some(won(share.wallet)),
        payable_share: Some(won(share.payable(of))),
        cancelled_quantity: taken.cancelled,
        returned_quantity: taken.returned,
        ..line(of)
    };
    order.taken().zip(shares).map(shared).collect()
}

fn line(line: &Line) -> pb::OrderLine {
    pb::OrderLine {
        product_id: line.product.to_string(),
        display_name: line.display_name.clone(),
        quantity: line.quantity,
        unit_price: Some(line.unit_price.to_wire().into()),
        ..pb::OrderLine::default()
    }
}

/// A method on the wire.
pub(crate) fn method(method: Method) -> pb::PaymentMethod {
    match method {
        Method::Card => pb::PaymentMethod::Card,
        Method::Wallet => pb::PaymentMethod::Wallet,
        Method::BankTransfer => pb::PaymentMethod::BankTransfer,
    }
}

/// A state on the wire.
pub(crate) fn state_of(state: State) -> pb::order::State {
    match state {
        // Never seen.
        State::Pending | State::Aborting => pb::order::State::Unspecified,
        State::Placed => pb::order::State::Placed,
        State::AwaitingDeposit => pb::order::State::AwaitingDeposit,
        State::Paid => pb::order::State::Paid,
        State::Prepared => pb::order::State::Prepared,
        State::Delivering => pb::order::State::Delivering,
        State::Delivered => pb::order::State::Delivered,
        State::Closed => pb::order::State::Closed,
        State::Cancelling => pb::order::State::Cancelling,
        State::Cancelled(_) => pb::order::State::Cancelled,
    }
}

/// The states from which an order goes on by itself, or is waited for.
pub(crate) const IN_PROGRESS: [State; 9] = [
    State::Pending,
    State::Aborting,
    State::Placed,
    State::AwaitingDeposit,
    State::Paid,
    State::Prepared,
    State::Delivering,
    State::Delivered,
    State::Cancelling,
];

/// The milestones that others may have been told of, but for CANCELLED.
const TOLD: [State; 8] = [
    State::Pending,
    State::Placed,
    State::AwaitingDeposit,
    State::Paid,
    State::Prepared,
    State::Delivering,
    State::Delivered,
    State::Closed,
];

/// A state as the database has it: its name in the contract, if it has one there.
pub(crate) fn state_name(state: State) -> &'static str {
    match state {
        State::Pending => "PENDING",
        State::Aborting => "ABORTING",
        known => state_of(known).as_str_name(),
    }
}

/// The milestone that is stored as the last that others were told of; CANCELLED takes its reason
/// from its own column.
pub(crate) fn stored_told(name: &str, reason: Option<CancelReason>) -> Result<State, Error> {
    let mut known = TOLD.into_iter().chain(reason.map(State::Cancelled));
    let told = known.find(|state| state_name(*state) == name);
    told.ok_or_else(|| Error::internal(format!("orders_told: {name}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(states: &[State], more: &[State]) -> BTreeSet<&'static str> {
        states.iter().chain(more).map(|state| state_name(*state)).collect()
    }

    #[test]
    fn states_are_stored_as_their_constraints_allow() {
        let allowed = |constraint| pg::names::allowed(crate::SERVICE.migrations, constraint);
        let cancelled = State::Cancelled(CancelReason::OutOfStock);
        assert_eq!(names(&IN_PROGRESS, &[State::Closed, cancelled]), allowed("orders_state"));
        assert_eq!(names(&TOLD, &[cancelled]), allowed("orders_told"));
    }
}
