//! All the SQL of coupons.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, id::Uuid, page::Page};
use contracts::coupon::v1::{CouponCancelled, CouponIssued, coupon_event::Event};
use eventlog::Draft;
use pg::{Cause, Reader, Tx};
use tokio_postgres::Row;

use crate::domain::{CouponId, Fact, MemberId, State};

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

/// A fact about a member, and where it comes from.
pub(crate) struct Learned {
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
    /// The event that told; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// Takes in facts about many members, in this order. Answers their coupons as they are then.
pub(crate) async fn learn(
    tx: &mut Tx,
    facts: &[Learned],
) -> Result<BTreeMap<MemberId, Coupon>, Error> {
    let mut coupons = lock(tx, facts).await?;
    let mut drafts = Vec::new();
    for learned in facts {
        let Some(coupon) = coupons.get_mut(&learned.member) else { continue };
        let before = coupon.state;
        coupon.state = before.after(learned.fact);
        if coupon.state == before {
            continue;
        }
        coupon.version += 1;
        drafts.extend(told(coupon).map(|draft| match &learned.cause {
            Some(cause) => draft.caused_by(cause.clone()),
            None => draft,
        }));
    }
    let members: Vec<Uuid> = coupons.keys().map(|member| member.0).collect();
    let states: Vec<&str> = coupons.values().map(|coupon| coupon.state.name()).collect();
    let versions: Vec<i64> = coupons.values().map(|coupon| coupon.version).collect();
    tx.execute(
        "update coupon set state = n.state, version = n.version
         from unnest($1::uuid[], $2::text[], $3::bigint[]) as n(member_id, state, version)
         where coupon.member_id = n.member_id and coupon.version <> n.version",
        &[&members, &states, &versions],
    )
    .await?;
    eventlog::append(tx, &drafts).await?;
    Ok(coupons)
}

/// Makes sure that each member has a coupon row, NEW if need be, and locks them all.
async fn lock(tx: &mut Tx, facts: &[Learned]) -> Result<BTreeMap<MemberId, Coupon>, Error> {
    let members: BTreeSet<Uuid> = facts.iter().map(|learned| learned.member.0).collect();
    let members: Vec<Uuid> = members.into_iter().collect();
    let ids: Vec<Uuid> = members.iter().map(|_| base::id::new()).collect();
    tx.execute(
        "insert into coupon (id, member_id, state)
         select i, m, 'NEW' from unnest($1::uuid[], $2::uuid[]) as learned(i, m)
         on conflict (member_id) do nothing",
        &[&ids, &members],
    )
    .await?;
    let rows = tx
        .query(
            "select id, member_id, state, version, create_time
             from coupon where member_id = any($1) order by member_id for update",
            &[&members],
        )
        .await?;
    rows.iter().map(|row| Coupon::from_row(row).map(|coupon| (coupon.member, coupon))).collect()
}

/// What others are told of a coupon's new state.
fn told(coupon: &Coupon) -> Option<Draft> {
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
            "select id, member_id, state, version, create_time from coupon
             where member_id = $1 and state <> 'REFUSED' and ($2::uuid is null or id < $2)
             order by id desc limit $3",
            &[&member.0, &page.below, &page.limit()],
        )
        .await?;
    rows.iter().map(Coupon::from_row).collect()
}
