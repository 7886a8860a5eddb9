//! The SQL of coupons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, Money, id::Uuid, page::Page};
use eventlog::Draft;
use pg::{Reader, Tx, clock};
use tokio_postgres::Row;

use super::discount;
use crate::{
    domain::{
        CouponId, MemberId, OrderId,
        coupon::{Coupon, CouponState, Outcome},
        terms::{Discount, Policy, Terms},
    },
    wire,
};

/// Coupons that one statement ends.
const AT_ONCE: i64 = 500;

/// All that makes up a coupon.
macro_rules! select_coupons {
    () => {
        "select id, member_id, display_name, amount_minor, percent, maximum_minor, minimum_minor,
           expire_time, state, order_id, version, create_time
         from member_coupon"
    };
}

/// A coupon as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) coupon: Coupon,
    pub(crate) create_time: SystemTime,
    version: i64,
}

impl Stored {
    /// A coupon that is being issued on the terms of its policy.
    pub(crate) fn issue(id: CouponId, member: MemberId, policy: &Policy, now: SystemTime) -> Self {
        let coupon = Coupon {
            id,
            member,
            terms: policy.terms.clone(),
            expire_time: policy.expiry(now),
            state: CouponState::Issued,
            order: None,
        };
        Self { coupon, create_time: now, version: 0 }
    }

    /// Its next event.
    pub(crate) fn draft(&mut self, outcome: Outcome) -> Draft {
        self.version += 1;
        let (id, member) = (self.coupon.id.0, self.coupon.member.0);
        Draft::of(wire::event(self, outcome), id, self.version, member)
    }

    fn from_row(row: &Row) -> Result<Self, Error> {
        let terms = Terms {
            display_name: row.get("display_name"),
            discount: discount(row)?,
            minimum: Money::krw(row.get("minimum_minor")),
        };
        let coupon = Coupon {
            id: CouponId(row.get("id")),
            member: MemberId(row.get("member_id")),
            terms,
            expire_time: row.get("expire_time"),
            state: CouponState::named(row.get("state"))?,
            order: row.get::<_, Option<Uuid>>("order_id").map(OrderId),
        };
        Ok(Self { coupon, create_time: row.get("create_time"), version: row.get("version") })
    }
}

/// Locks these coupons, those that there are, in the order of their ids.
pub(crate) async fn lock(
    tx: &mut Tx,
    ids: &BTreeSet<CouponId>,
) -> Result<BTreeMap<CouponId, Stored>, Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let sql = concat!(select_coupons!(), " where id = any($1) order by id for update");
    keyed(&tx.query(sql, &[&ids]).await?)
}

/// Locks what these members may redeem, in the order of their ids.
pub(crate) async fn lock_issued(
    tx: &mut Tx,
    members: &[Uuid],
) -> Result<BTreeMap<CouponId, Stored>, Error> {
    if members.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = concat!(
        select_coupons!(),
        " where member_id = any($1) and state = 'ISSUED' order by id for update"
    );
    keyed(&tx.query(sql, &[&members]).await?)
}

fn keyed(rows: &[Row]) -> Result<BTreeMap<CouponId, Stored>, Error> {
    rows.iter().map(|row| Stored::from_row(row).map(|stored| (stored.coupon.id, stored))).collect()
}

/// Stores new coupons.
pub(crate) async fn insert(tx: &mut Tx, coupons: &[&Stored]) -> Result<(), Error> {
    fn column<'a, T>(coupons: &[&'a Stored], of: impl Fn(&'a Stored) -> T) -> Vec<T> {
        coupons.iter().map(|stored| of(stored)).collect()
    }
    if coupons.is_empty() {
        return Ok(());
    }
    let discounts = column(coupons, |it| columns(it.coupon.terms.discount));
    tx.execute(
        "insert into member_coupon (id, member_id, display_name, amount_minor, percent,
           maximum_minor, minimum_minor, expire_time, state, version, create_time)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::int[],
           $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[], $10::bigint[],
           $11::timestamptz[])",
        &[
            &column(coupons, |it| it.coupon.id.0),
            &column(coupons, |it| it.coupon.member.0),
            &column(coupons, |it| it.coupon.terms.display_name.as_str()),
            &discounts.iter().map(|it| it.0).collect::<Vec<_>>(),
            &discounts.iter().map(|it| it.1).collect::<Vec<_>>(),
            &discounts.iter().map(|it| it.2).collect::<Vec<_>>(),
            &column(coupons, |it| it.coupon.terms.minimum.minor()),
            &column(coupons, |it| it.coupon.expire_time),
            &column(coupons, |it| it.coupon.state.name()),
            &column(coupons, |it| it.version),
            &column(coupons, |it| it.create_time),
        ],
    )
    .await?;
    Ok(())
}

/// An amount, a percentage and its maximum, as they are stored.
pub(super) fn columns(discount: Discount) -> (Option<i64>, Option<i32>, Option<i64>) {
    match discount {
        Discount::Amount(amount) => (Some(amount.minor()), None, None),
        Discount::Percent { percent, maximum } => (None, Some(percent), maximum.map(Money::minor)),
    }
}

/// Saves what has become of coupons.
pub(crate) async fn save(tx: &mut Tx, coupons: &[&Stored]) -> Result<(), Error> {
    if coupons.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = coupons.iter().map(|it| it.coupon.id.0).collect();
    let states: Vec<&str> = coupons.iter().map(|it| it.coupon.state.name()).collect();
    let orders: Vec<Option<Uuid>> =
        coupons.iter().map(|it| it.coupon.order.map(|order| order.0)).collect();
    let versions: Vec<i64> = coupons.iter().map(|it| it.version).collect();
    tx.execute(
        "update member_coupon c set state = n.state, order_id = n.order_id, version = n.version
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[])
           as n (id, state, order_id, version)
         where c.id = n.id",
        &[&ids, &states, &orders, &versions],
    )
    .await?;
    Ok(())
}

/// Ends some of the coupons whose time has come. Whether there may be more.
pub(crate) async fn expire(tx: &mut Tx) -> Result<bool, Error> {
    let now = clock::now(tx).await?;
    // One that is being redeemed or cancelled right now is met again later, if it is still there.
    let sql = concat!(
        select_coupons!(),
        " where state = 'ISSUED' and expire_time <= $1
          order by expire_time, id limit $2 for update skip locked"
    );
    let mut due = keyed(&tx.query(sql, &[&now, &AT_ONCE]).await?)?;
    let mut drafts = Vec::new();
    for stored in due.values_mut() {
        if let Some(outcome) = stored.coupon.expire(now) {
            drafts.push(stored.draft(outcome));
        }
    }
    save(tx, &due.values().collect::<Vec<_>>()).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(i64::try_from(due.len()).is_ok_and(|ended| ended == AT_ONCE))
}

/// How many coupons of a member are cancelled.
pub(crate) async fn count_cancelled(tx: &mut Tx, member: MemberId) -> Result<i64, Error> {
    let sql = "select count(*) from member_coupon where member_id = $1 and state = 'CANCELLED'";
    Ok(tx.query_one(sql, &[&member.0]).await?.get(0))
}

/// Reads a page of a member's coupons, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<Stored>, Error> {
    let sql =
        concat!(select_coupons!(), " where member_id = $1 and id < $2 order by id desc limit $3");
    let below = page.below.unwrap_or(Uuid::max());
    let rows = reader.query(sql, &[&member.0, &below, &page.limit()]).await?;
    rows.iter().map(Stored::from_row).collect()
}
