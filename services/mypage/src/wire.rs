//! How what My Page shows looks on the wire. What others said is stored as they said it.

use std::mem;

use base::Error;
use contracts::{
    Money,
    coupon::v1::{self as coupon, coupon::State as CouponState},
    delivery::v1::delivery,
    member::v1::Address,
    mileage::v1::{MileageEntry, mileage_entry},
    mypage::v1::{self as pb, order_view},
    order::v1::{OrderPlaced, order},
    payment::v1::{Refund, payment, refund},
};
use prost::Message as _;

use crate::{
    domain::{self, Rest, taken::Taken},
    store::{
        Coupon, OrderView, Passed,
        points::{Line, Movement, Points},
    },
};

/// A coupon on the wire: as coupon said it, in the state that it has by now.
pub(crate) fn coupon(coupon: &Coupon) -> Result<coupon::Coupon, Error> {
    let body = coupon.body.as_deref().unwrap_or_default();
    let said = coupon::Coupon::decode(body)
        .map_err(|error| Error::internal(format!("stored coupon: {error}")))?;
    let state = CouponState::from_str_name(&coupon.state).unwrap_or_default();
    Ok(coupon::Coupon {
        id: coupon.id.to_string(),
        member_id: coupon.member.to_string(),
        state: state.into(),
        create_time: Some(coupon.create_time.into()),
        ..said
    })
}

/// An entry of points on the wire.
pub(crate) fn line(line: &Line) -> MileageEntry {
    match line {
        Line::Earned(earned) => points(earned),
        Line::Moved(moved) => movement(moved),
    }
}

fn points(points: &Points) -> MileageEntry {
    let state = if points.cancelled {
        mileage_entry::State::Cancelled
    } else {
        mileage_entry::State::Earned
    };
    MileageEntry {
        id: points.entry.to_string(),
        payment_id: points.payment.to_string(),
        order_id: points.order.to_string(),
        member_id: points.member.to_string(),
        points: points.points,
        state: state.into(),
        create_time: Some(points.create_time.into()),
        kind: mileage_entry::Kind::Earn.into(),
        expire_time: points.expire_time.map(Into::into),
        earn_entry_id: String::new(),
    }
}

fn movement(movement: &Movement) -> MileageEntry {
    fn id(id: Option<impl ToString>) -> String {
        id.map(|id| id.to_string()).unwrap_or_default()
    }
    MileageEntry {
        id: movement.entry.to_string(),
        payment_id: String::new(),
        order_id: id(movement.order),
        member_id: movement.member.to_string(),
        points: movement.points,
        state: mileage_entry::State::Unspecified.into(),
        create_time: Some(movement.create_time.into()),
        kind: mileage_entry::Kind::from_str_name(&movement.kind).unwrap_or_default().into(),
        expire_time: movement.expire_time.map(Into::into),
        earn_entry_id: id(movement.earn_entry),
    }
}

/// An order on the wire, with its history, and what its member may do with it.
pub(crate) fn order(view: OrderView) -> Result<pb::OrderView, Error> {
    let mut placed = OrderPlaced::decode(view.placed.as_slice())
        .map_err(|error| Error::internal(format!("stored order: {error}")))?;
    let state = order::State::from_str_name(&view.state).unwrap_or_default();
    let closed = order::CloseReason::from_str_name(&view.close_reason).unwrap_or_default();
    let milestone = |Passed { state, at, trace_id }| {
        let state = order::State::from_str_name(&state).unwrap_or_default();
        let (at, label) = (Some(at.into()), domain::label(state));
        let close_reason =
            if state == order::State::Closed { closed } else { order::CloseReason::Unspecified };
        let close_reason = close_reason.into();
        order_view::Milestone { state: state.into(), label, at, trace_id, close_reason }
    };
    let payment_state = payment::State::from_str_name(&view.payment_state).unwrap_or_default();
    let delivery = delivery::State::from_str_name(&view.delivery_state).unwrap_or_default();
    let method = placed.payment_method();
    let member = view.member.to_string();
    let taken = Taken::of(&view.parts, &member, state == order::State::Cancelled)?;
    let mut lines = mem::take(&mut placed.lines);
    let left = taken.leaves(&lines);
    taken.mark(&mut lines);
    let returnable = view.returnable_until.is_some_and(|until| view.now < until);
    let actions = domain::allowed(state, method, delivery, Rest { left, returnable });
    Ok(pb::OrderView {
        order_id: view.order.to_string(),
        state: state.into(),
        state_label: domain::label(state),
        payment_state: payment_state.into(),
        payment_state_label: domain::payment_label(payment_state).to_owned(),
        delivery_state: delivery.into(),
        payable: payable(&placed)?,
        coupon_discount: Some(placed.coupon_discount.unwrap_or_else(nothing)),
        points_used: placed.points,
        wallet_used: Some(placed.wallet_amount.unwrap_or_else(nothing)),
        payment_method: method.into(),
        allowed_actions: actions.into_iter().map(Into::into).collect(),
        lines,
        total: placed.total,
        history: view.history.into_iter().map(milestone).collect(),
        refunds: view.refunds.iter().map(|body| given_back(body)).collect::<Result<_, _>>()?,
        cancel_reason: order::CancelReason::from_str_name(&view.cancel_reason)
            .unwrap_or_default()
            .into(),
        carrier: view.carrier,
        tracking_number: view.tracking_number,
        address: view
            .address
            .map(|body| Address::decode(&*body))
            .transpose()
            .map_err(|error| Error::internal(format!("stored address: {error}")))?,
        returns: taken.returns,
        returnable_until: view.returnable_until.map(Into::into),
    })
}

fn nothing() -> Money {
    base::Money::ZERO.to_wire().into()
}

/// What the method pays of an order.
fn payable(placed: &OrderPlaced) -> Result<Option<Money>, Error> {
    let money = |field, amount: Option<&Money>| {
        base::Money::parse(field, Some(amount.unwrap_or(&nothing()).parts()))
    };
    let amount = money("amount", placed.amount.as_ref().or(placed.total.as_ref()))?;
    let wallet = money("wallet_amount", placed.wallet_amount.as_ref())?;
    Ok(amount.minus(wallet).map(|payable| payable.to_wire().into()))
}

/// A refund as its member reads it: that it failed is the shop's matter.
fn given_back(body: &[u8]) -> Result<Refund, Error> {
    let mut refund =
        Refund::decode(body).map_err(|error| Error::internal(format!("stored refund: {error}")))?;
    if refund.state() == refund::State::Failed {
        refund.set_state(refund::State::Refunding);
    }
    Ok(refund)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_method_pays_is_what_all_else_leaves() {
        let won = |units| Some(Money::from(("KRW", units)));
        let plain = OrderPlaced { total: won(10_000), ..OrderPlaced::default() };
        assert_eq!(payable(&plain).expect("money"), won(10_000));
        let part = OrderPlaced { amount: won(6_000), wallet_amount: won(400), ..plain };
        assert_eq!(payable(&part).expect("money"), won(5_600));
    }
}
