//! The words that coupons go by elsewhere: in events and on the wire.

use base::{Error, Money};
use contracts::coupon::v1::{
    self as pb, CouponCancelled, CouponExpired, CouponIssued, CouponRedeemed, CouponReleased,
    coupon_event::Event,
};

use crate::{
    domain::{
        coupon::{CouponState, Outcome},
        terms::Discount,
    },
    store::{StoredPolicy, coupon::Stored},
};

/// The event of an outcome.
pub(crate) fn event(stored: &Stored, outcome: Outcome) -> Event {
    let (coupon_id, member_id) = (stored.coupon.id.to_string(), stored.coupon.member.to_string());
    let coupon = Some(coupon(stored));
    match outcome {
        Outcome::Issued => Event::CouponIssued(CouponIssued { coupon_id, member_id, coupon }),
        Outcome::Redeemed(order, discount) => Event::CouponRedeemed(CouponRedeemed {
            coupon_id,
            member_id,
            order_id: order.to_string(),
            discount: Some(discount.to_wire().into()),
            coupon,
        }),
        Outcome::Released(order) => Event::CouponReleased(CouponReleased {
            coupon_id,
            member_id,
            order_id: order.to_string(),
            coupon,
        }),
        Outcome::Expired => Event::CouponExpired(CouponExpired { coupon_id, member_id, coupon }),
        Outcome::Cancelled => {
            Event::CouponCancelled(CouponCancelled { coupon_id, member_id, coupon })
        }
    }
}

/// A coupon on the wire.
pub(crate) fn coupon(stored: &Stored) -> pb::Coupon {
    let coupon = &stored.coupon;
    let state = match coupon.state {
        CouponState::Issued => pb::coupon::State::Issued,
        CouponState::Cancelled => pb::coupon::State::Cancelled,
        CouponState::Redeemed => pb::coupon::State::Redeemed,
        CouponState::Expired => pb::coupon::State::Expired,
    };
    pb::Coupon {
        id: coupon.id.to_string(),
        member_id: coupon.member.to_string(),
        state: state.into(),
        create_time: Some(stored.create_time.into()),
        display_name: coupon.terms.display_name.clone(),
        discount: Some(discount(coupon.terms.discount)),
        minimum_total: Some(coupon.terms.minimum.to_wire().into()),
        expire_time: Some(coupon.expire_time.into()),
        order_id: coupon.order.map(|order| order.to_string()).unwrap_or_default(),
    }
}

/// A policy on the wire.
pub(crate) fn policy(stored: &StoredPolicy) -> pb::CouponPolicy {
    let terms = &stored.policy.terms;
    pb::CouponPolicy {
        policy: stored.name.clone(),
        display_name: terms.display_name.clone(),
        discount: Some(discount(terms.discount)),
        minimum_total: Some(terms.minimum.to_wire().into()),
        valid_days: stored.policy.valid_days,
        etag: stored.etag(),
        create_time: Some(stored.create_time.into()),
    }
}

fn discount(discount: Discount) -> pb::Discount {
    let money = |money: Money| Some(money.to_wire().into());
    match discount {
        Discount::Amount(amount) => {
            pb::Discount { amount: money(amount), percent: None, maximum: None }
        }
        Discount::Percent { percent, maximum } => {
            pb::Discount { amount: None, percent: Some(percent), maximum: maximum.and_then(money) }
        }
    }
}

/// A discount from a request; `field` is its path.
pub(crate) fn discount_from(field: &str, discount: &pb::Discount) -> Result<Discount, Error> {
    let amount = discount.amount.as_ref().map(contracts::Money::parts);
    let maximum = discount.maximum.as_ref().map(contracts::Money::parts);
    Discount::parse(field, amount, discount.percent, maximum)
}
