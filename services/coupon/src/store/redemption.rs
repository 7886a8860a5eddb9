//! The SQL of what orders do with coupons. Locks go from the member to the order to
//! the coupon, each sorted by id.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, Money, id::Uuid};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Tx, clock};

use super::{
    coupon::{self, Stored},
    holder,
};
use crate::domain::{
    CouponId, MemberId, OrderId,
    coupon::{Outcome, Redemption, RedemptionState, Refusal},
};

/// An order under lock, with the coupon that it has.
pub(crate) struct Locked {
    order: OrderId,
    redemption: Redemption,
    coupon: Option<Stored>,
    /// Its member may hold no coupon any more.
    withdrawn: bool,
    now: SystemTime,
}

impl Locked {
    /// The coupon that it has, or had, as it is now.
    pub(crate) fn coupon(&self) -> Option<&Stored> {
        self.coupon.as_ref()
    }
}

/// That an order was cancelled, or never was: whose it is.
pub(crate) struct Released(pub(crate) MemberId);

impl Aggregate for Locked {
    type Key = OrderId;
    type Fact = Released;

    /// Makes sure that each order has a row, NEW if need be.
    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<OrderId, Self>, Error> {
        let orders: BTreeMap<OrderId, MemberId> =
            facts.iter().map(|learned| (learned.key, learned.fact.0)).collect();
        let members = holder::lock_known(tx, orders.values().copied()).await?;
        let redemptions = lock(tx, &orders).await?;
        let ids: BTreeSet<CouponId> = redemptions.values().filter_map(|it| it.coupon).collect();
        let coupons = coupon::lock(tx, &ids).await?;
        let now = clock::now(tx).await?;
        let locked = redemptions.into_iter().map(|(order, redemption)| {
            // Several may have had one coupon, one after the other; one at most has it now.
            let coupon = redemption.coupon.and_then(|id| coupons.get(&id).cloned());
            let state = orders.get(&order).and_then(|member| members.get(member));
            let withdrawn = state.is_some_and(|state| state.withdrawn());
            (order, Self { order, redemption, coupon, withdrawn, now })
        });
        Ok(locked.collect())
    }

    fn learn(&mut self, _: &mut Tx, _: &Released) -> Option<Vec<Draft>> {
        if !self.redemption.release() {
            return None;
        }
        let stored = self.coupon.as_mut();
        let told = stored.and_then(|stored| {
            let outcome = stored.coupon.release(self.withdrawn, self.now)?;
            Some(stored.draft(outcome))
        });
        Some(told.into_iter().collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let orders: Vec<Uuid> = changed.iter().map(|locked| locked.order.0).collect();
        let states: Vec<&str> = changed.iter().map(|it| it.redemption.state.name()).collect();
        tx.execute(
            "update redemption r set state = n.state
             from unnest($1::uuid[], $2::text[]) as n (order_id, state)
             where r.order_id = n.order_id",
            &[&orders, &states],
        )
        .await?;
        coupon::save(tx, &changed.iter().filter_map(|it| it.coupon()).collect::<Vec<_>>()).await
    }
}

async fn lock(
    tx: &mut Tx,
    orders: &BTreeMap<OrderId, MemberId>,
) -> Result<BTreeMap<OrderId, Redemption>, Error> {
    let (orders, members): (Vec<Uuid>, Vec<Uuid>) = orders.iter().map(|(o, m)| (o.0, m.0)).unzip();
    let make = "with made as (
           insert into redemption (order_id, member_id, state)
           select o, m, 'NEW' from unnest($1::uuid[], $2::uuid[]) as learned (o, m)
           on conflict (order_id) do nothing
           returning order_id, state, coupon_id, discount_minor)
         select * from (
           select order_id, state, coupon_id, discount_minor
           from redemption where order_id = any($1) order by order_id for update) kept
         union all select * from made";
    let again = "select order_id, state, coupon_id, discount_minor
         from redemption where order_id = any($1) order by order_id for update";
    let rows = facts::lock_or_make(tx, &orders, (make, &[&orders, &members]), again).await?;
    rows.iter()
        .map(|row| {
            let redemption = Redemption {
                state: RedemptionState::named(row.get("state"))?,
                coupon: row.get::<_, Option<Uuid>>("coupon_id").map(CouponId),
                discount: Money::krw(row.get("discount_minor")),
            };
            Ok((OrderId(row.get("order_id")), redemption))
        })
        .collect()
}

/// What an order wants of a coupon.
pub(crate) struct Wish {
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) coupon: CouponId,
    /// What its goods cost.
    pub(crate) goods: Money,
}

/// Redeems a coupon for an order, once. Answers what the order costs less, and the coupon.
pub(crate) async fn redeem(tx: &mut Tx, wish: &Wish) -> Result<(Money, Stored), Error> {
    holder::lock_known(tx, [wish.member]).await?;
    let redemptions = lock(tx, &[(wish.order, wish.member)].into()).await?;
    let redemption = redemptions.get(&wish.order).copied().unwrap_or(Redemption::NEW);
    let before = redemption.ask(wish.coupon)?;
    let mut coupons = coupon::lock(tx, &[wish.coupon].into()).await?;
    let theirs = coupons.remove(&wish.coupon).filter(|it| it.coupon.member == wish.member);
    let mut stored = theirs.ok_or(Refusal::NoSuchCoupon)?;
    if let Some(discount) = before {
        return Ok((discount, stored));
    }
    let discount = stored.coupon.redeem(wish.order, wish.goods, clock::now(tx).await?)?;
    let Redemption { state, .. } = Redemption::redeemed(wish.coupon, discount);
    tx.execute(
        "update redemption set state = $2, coupon_id = $3, discount_minor = $4
         where order_id = $1",
        &[&wish.order.0, &state.name(), &wish.coupon.0, &discount.minor()],
    )
    .await?;
    let draft = stored.draft(Outcome::Redeemed(wish.order, discount));
    coupon::save(tx, &[&stored]).await?;
    eventlog::append(tx, &[draft]).await?;
    Ok((discount, stored))
}
