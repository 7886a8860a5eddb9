//! All the SQL of coupons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, id::Uuid, page::Page};
use contracts::coupon::v1::{CouponCancelled, CouponIssued, coupon_event::Event};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Reader, Tx};
use tokio_postgres::Row;

use crate::domain::{CouponId, Fact, MemberId, State};

/// All that makes up a coupon.
macro_rules! select_coupons {
    () => {
        "select id, member_id, state, version, create_time from coupon"
    };
}

/// A coupon as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Coupon {
    pub(crate) id: CouponId,
    pub(crate) member: MemberId,
    pub(crate) state: State,
    pub(crate) create_time: SystemTime,
    version: i64,
}

impl Coupon {
    fn from_row(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: CouponId(row.get("id")),
            member: MemberId(row.get("member_id")),
            state: State::named(row.get("state"))?,
            create_time: row.get("create_time"),
            version: row.get("version"),
        })
    }
}

impl Aggregate for Coupon {
    type Key = MemberId;
    type Fact = Fact;

    /// Makes sure that each member has a coupon row, NEW if need be.
    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<MemberId, Self>, Error> {
        let members: BTreeSet<Uuid> = facts.iter().map(|learned| learned.key.0).collect();
        let members: Vec<Uuid> = members.into_iter().collect();
        let ids: Vec<Uuid> = members.iter().map(|_| base::id::new()).collect();
        let make = concat!(
            "with made as (
               insert into coupon (id, member_id, state)
               select i, m, 'NEW' from unnest($1::uuid[], $2::uuid[]) as learned(i, m)
               on conflict (member_id) do nothing
               returning id, member_id, state, version, create_time)
             select * from (",
            select_coupons!(),
            " where member_id = any($2) order by member_id for update) kept
             union all select * from made"
        );
        let again =
            concat!(select_coupons!(), " where member_id = any($1) order by member_id for update");
        let rows = facts::lock_or_make(tx, &members, (make, &[&ids, &members]), again).await?;
        rows.iter().map(|row| Self::from_row(row).map(|coupon| (coupon.member, coupon))).collect()
    }

    fn learn(&mut self, _: &mut Tx, fact: &Fact) -> Option<Vec<Draft>> {
        let state = self.state.after(*fact);
        if state == self.state {
            return None;
        }
        (self.state, self.version) = (state, self.version + 1);
        Some(event(self).into_iter().collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let members: Vec<Uuid> = changed.iter().map(|coupon| coupon.member.0).collect();
        let states: Vec<&str> = changed.iter().map(|coupon| coupon.state.name()).collect();
        let versions: Vec<i64> = changed.iter().map(|coupon| coupon.version).collect();
        tx.execute(
            "update coupon set state = n.state, version = n.version
             from unnest($1::uuid[], $2::text[], $3::bigint[]) as n(member_id, state, version)
             where coupon.member_id = n.member_id",
            &[&members, &states, &versions],
        )
        .await?;
        Ok(())
    }
}

/// The event of a coupon's new state.
fn event(coupon: &Coupon) -> Option<Draft> {
    let (coupon_id, member_id) = (coupon.id.to_string(), coupon.member.to_string());
    let event = match coupon.state {
        State::Issued => Event::CouponIssued(CouponIssued { coupon_id, member_id }),
        State::Cancelled => Event::CouponCancelled(CouponCancelled { coupon_id, member_id }),
        State::New | State::Refused => return None,
    };
    Some(Draft::of(event, coupon.id.0, coupon.version, coupon.member.0))
}

/// Reads a page of a member's coupons, newest first.
pub(crate) async fn list(
    reader: &mut Reader,
    member: MemberId,
    page: Page,
) -> Result<Vec<Coupon>, Error> {
    let rows = reader
        .query(
            concat!(
                select_coupons!(),
                " where member_id = $1 and state <> 'REFUSED' and ($2::uuid is null or id < $2)
                  order by id desc limit $3"
            ),
            &[&member.0, &page.below, &page.limit()],
        )
        .await?;
    rows.iter().map(Coupon::from_row).collect()
}
