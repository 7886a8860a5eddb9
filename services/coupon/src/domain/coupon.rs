//! The life of a coupon once it is issued, and what an order does with one: no clock,
//! no network, no SQL.

#![warn(clippy::arithmetic_side_effects, reason = "the same in every domain")]

use std::time::SystemTime;

use base::{Money, Refuse, error::Kind};

use super::{CouponId, MemberId, OrderId, terms::Terms};

/// How far a coupon has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CouponState {
    Issued,
    Cancelled,
    /// An order has it.
    Redeemed,
    Expired,
}

pg::names!(CouponState, constraint member_coupon_state:
    Issued = "ISSUED", Cancelled = "CANCELLED", Redeemed = "REDEEMED", Expired = "EXPIRED");

/// A member's coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coupon {
    pub(crate) id: CouponId,
    pub(crate) member: MemberId,
    pub(crate) terms: Terms,
    pub(crate) expire_time: SystemTime,
    pub(crate) state: CouponState,
    /// The order that has it.
    pub(crate) order: Option<OrderId>,
}

/// What became of a coupon, as others are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Issued,
    Redeemed(OrderId, Money),
    /// That order does not have it any more.
    Released(OrderId),
    Expired,
    Cancelled,
}

impl Coupon {
    /// Lets an order have it. Answers what the order costs less.
    pub(crate) fn redeem(
        &mut self,
        order: OrderId,
        goods: Money,
        now: SystemTime,
    ) -> Result<Money, Refusal> {
        match self.state {
            CouponState::Issued if self.expire_time <= now => Err(Refusal::CouponExpired),
            CouponState::Issued if goods < self.terms.minimum => {
                Err(Refusal::CouponMinimum(self.terms.minimum))
            }
            CouponState::Issued => {
                (self.state, self.order) = (CouponState::Redeemed, Some(order));
                Ok(self.terms.discount.of(goods))
            }
            CouponState::Redeemed => Err(Refusal::CouponRedeemed),
            CouponState::Expired => Err(Refusal::CouponExpired),
            CouponState::Cancelled => Err(Refusal::CouponCancelled),
        }
    }

    /// Takes it back from the order that has it. Who has withdrawn meanwhile holds none.
    pub(crate) fn release(&mut self, withdrawn: bool, now: SystemTime) -> Option<Outcome> {
        let order = self.order.take()?;
        let (state, outcome) = if withdrawn {
            (CouponState::Cancelled, Outcome::Cancelled)
        } else if self.expire_time <= now {
            (CouponState::Expired, Outcome::Expired)
        } else {
            (CouponState::Issued, Outcome::Released(order))
        };
        self.state = state;
        Some(outcome)
    }

    /// Ends it with its member's membership; one that an order has stays.
    pub(crate) fn cancel(&mut self) -> Option<Outcome> {
        (self.state == CouponState::Issued).then(|| {
            self.state = CouponState::Cancelled;
            Outcome::Cancelled
        })
    }

    /// Ends it when its time has come; one that an order has stays.
    pub(crate) fn expire(&mut self, now: SystemTime) -> Option<Outcome> {
        (self.state == CouponState::Issued && self.expire_time <= now).then(|| {
            self.state = CouponState::Expired;
            Outcome::Expired
        })
    }
}

/// How far an order has come with its coupon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedemptionState {
    /// Nothing decided yet; never stored beyond a transaction.
    New,
    Redeemed,
    /// It had one.
    Released,
    /// It was cancelled first: whatever comes later is refused.
    Refused,
}

pg::names!(RedemptionState, constraint redemption_state:
    New = "NEW", Redeemed = "REDEEMED", Released = "RELEASED", Refused = "REFUSED");

/// What an order does with a coupon; at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Redemption {
    pub(crate) state: RedemptionState,
    /// Which one, unless it was refused.
    pub(crate) coupon: Option<CouponId>,
    /// What the order costs less by it.
    pub(crate) discount: Money,
}

impl Redemption {
    /// Of an order that is heard of for the first time.
    pub(crate) const NEW: Self =
        Self { state: RedemptionState::New, coupon: None, discount: Money::ZERO };

    /// Whether the order may redeem this coupon; what it costs less when it has done so before.
    pub(crate) fn ask(&self, coupon: CouponId) -> Result<Option<Money>, Refusal> {
        match self.state {
            RedemptionState::New => Ok(None),
            RedemptionState::Redeemed if self.coupon == Some(coupon) => Ok(Some(self.discount)),
            RedemptionState::Redeemed => Err(Refusal::OtherCoupon),
            RedemptionState::Released | RedemptionState::Refused => Err(Refusal::OrderCancelled),
        }
    }

    /// The order has this coupon.
    pub(crate) fn redeemed(coupon: CouponId, discount: Money) -> Self {
        Self { state: RedemptionState::Redeemed, coupon: Some(coupon), discount }
    }

    /// The order is cancelled, or never was. Whether that is new.
    pub(crate) fn release(&mut self) -> bool {
        let state = match self.state {
            RedemptionState::New => RedemptionState::Refused,
            RedemptionState::Redeemed => RedemptionState::Released,
            RedemptionState::Released | RedemptionState::Refused => return false,
        };
        self.state = state;
        true
    }
}

/// What coupon says no with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the member has no such coupon")]
    NoSuchCoupon,
    #[error("the order has redeemed another coupon")]
    OtherCoupon,
    #[error("another order has the coupon")]
    CouponRedeemed,
    #[error("the coupon has expired")]
    CouponExpired,
    #[error("the coupon is cancelled")]
    CouponCancelled,
    #[error("the goods have to cost at least {0}")]
    CouponMinimum(Money),
    #[error("the order was cancelled before it redeemed a coupon")]
    OrderCancelled,
}

impl Refuse for Refusal {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchCoupon | Self::OtherCoupon => Kind::Invalid,
            Self::CouponRedeemed
            | Self::CouponExpired
            | Self::CouponCancelled
            | Self::CouponMinimum(_)
            | Self::OrderCancelled => Kind::Conflict,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchCoupon | Self::OtherCoupon => "INVALID_FIELD",
            Self::CouponRedeemed => "COUPON_REDEEMED",
            Self::CouponExpired => "COUPON_EXPIRED",
            Self::CouponCancelled => "COUPON_CANCELLED",
            Self::CouponMinimum(_) => "COUPON_MINIMUM",
            Self::OrderCancelled => "ORDER_CANCELLED",
        }
    }

    fn field(&self) -> Option<String> {
        matches!(self, Self::NoSuchCoupon | Self::OtherCoupon).then(|| "couponId".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::terms::Discount;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second)).expect("a time")
    }

    /// Good until second 10, from 10,000 won on.
    fn coupon() -> Coupon {
        let terms = Terms {
            display_name: "쿠폰".to_owned(),
            discount: Discount::Amount(Money::krw(3_000)),
            minimum: Money::krw(10_000),
        };
        Coupon {
            id: CouponId(base::id::new()),
            member: MemberId(base::id::new()),
            terms,
            expire_time: at(10),
            state: CouponState::Issued,
            order: None,
        }
    }

    fn order() -> OrderId {
        OrderId(base::id::new())
    }

    const ENOUGH: Money = Money::krw(10_000);

    #[test]
    fn one_order_has_a_coupon() {
        let (mut coupon, first) = (coupon(), order());
        assert_eq!(coupon.redeem(first, ENOUGH, at(9)), Ok(Money::krw(3_000)));
        assert_eq!((coupon.state, coupon.order), (CouponState::Redeemed, Some(first)));
        assert_eq!(coupon.redeem(order(), ENOUGH, at(9)), Err(Refusal::CouponRedeemed));
        assert_eq!((coupon.cancel(), coupon.expire(at(10))), (None, None));
    }

    #[test]
    fn what_is_too_late_or_too_cheap_is_refused() {
        let mut coupon = coupon();
        assert_eq!(coupon.redeem(order(), ENOUGH, at(10)), Err(Refusal::CouponExpired));
        let refused = Refusal::CouponMinimum(ENOUGH);
        assert_eq!(coupon.redeem(order(), Money::krw(9_999), at(9)), Err(refused));
        assert_eq!(coupon.state, CouponState::Issued);
        assert_eq!(coupon.expire(at(9)), None);
        assert_eq!(coupon.expire(at(10)), Some(Outcome::Expired));
        assert_eq!(coupon.redeem(order(), ENOUGH, at(9)), Err(Refusal::CouponExpired));
    }

    #[test]
    fn what_comes_back_is_as_its_member_and_its_time_have_it() {
        for (withdrawn, now, state) in [
            (false, at(9), CouponState::Issued),
            (false, at(10), CouponState::Expired),
            (true, at(9), CouponState::Cancelled),
            (true, at(10), CouponState::Cancelled),
        ] {
            let mut coupon = coupon();
            coupon.redeem(order(), ENOUGH, at(0)).expect("the first");
            assert!(coupon.release(withdrawn, now).is_some());
            assert_eq!((coupon.state, coupon.order), (state, None));
            assert_eq!(coupon.release(withdrawn, now), None);
        }
    }

    #[test]
    fn an_order_redeems_one_coupon_once_and_none_after_its_end() {
        let (mine, other) = (CouponId(base::id::new()), CouponId(base::id::new()));
        let mut redemption = Redemption::NEW;
        assert_eq!(redemption.ask(mine), Ok(None));
        redemption = Redemption::redeemed(mine, Money::krw(3_000));
        assert_eq!(redemption.ask(mine), Ok(Some(Money::krw(3_000))));
        assert_eq!(redemption.ask(other), Err(Refusal::OtherCoupon));
        assert!(redemption.release());
        assert!(!redemption.release());
        assert_eq!(redemption.ask(mine), Err(Refusal::OrderCancelled));

        let mut unheard_of = Redemption::NEW;
        assert!(unheard_of.release());
        assert_eq!(unheard_of.ask(mine), Err(Refusal::OrderCancelled));
    }
}
