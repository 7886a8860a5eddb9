//! The SQL of members' coupons.

use std::{collections::BTreeMap, time::SystemTime};

use base::Error;
use pg::{Reader, Tx};
use tokio_postgres::Row;

use super::changes;
use crate::domain::{CouponId, MemberId};

/// A member's coupon.
#[derive(Clone)]
pub(crate) struct Coupon {
    pub(crate) id: CouponId,
    pub(crate) member: MemberId,
    /// Its name in the contract.
    pub(crate) state: String,
    /// Of two, the higher is the later.
    pub(crate) version: i64,
    /// The encoded coupon; none where a version before has said it.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) create_time: SystemTime,
}

impl Coupon {
    pub(crate) fn cancelled(&self) -> bool {
        self.state == "CANCELLED"
    }
}

/// Takes in what was said of coupons, in any order: one that was ever cancelled is.
pub(crate) async fn keep(tx: &mut Tx, coupons: &[Coupon]) -> Result<(), Error> {
    fn column<T>(kept: &BTreeMap<CouponId, Coupon>, of: impl Fn(&Coupon) -> T) -> Vec<T> {
        kept.values().map(of).collect()
    }
    if coupons.is_empty() {
        return Ok(());
    }
    // One row a coupon: a statement may not touch a row twice.
    let mut kept: BTreeMap<CouponId, Coupon> = BTreeMap::new();
    for coupon in coupons {
        let entry = kept.entry(coupon.id).or_insert_with(|| coupon.clone());
        let create_time = entry.create_time.min(coupon.create_time);
        if entry.version < coupon.version && !entry.cancelled() || coupon.cancelled() {
            *entry = coupon.clone();
        }
        entry.create_time = create_time;
    }
    changes::count_pages(tx, column(&kept, |coupon| coupon.member)).await?;
    tx.execute(
        "insert into coupon_view (coupon_id, member_id, cancelled, state, version, body,
           create_time)
         select id, member_id, state = 'CANCELLED', state, version, body, create_time
         from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bytea[],
           $6::timestamptz[]) as n (id, member_id, state, version, body, create_time)
         on conflict (coupon_id) do update set
           cancelled = coupon_view.cancelled or excluded.cancelled,
           state = case when coupon_view.cancelled or coupon_view.version > excluded.version
               and not excluded.cancelled then coupon_view.state else excluded.state end,
           body = case when coupon_view.version > excluded.version
             then coupon_view.body else coalesce(excluded.body, coupon_view.body) end,
           version = greatest(coupon_view.version, excluded.version),
           create_time = least(coupon_view.create_time, excluded.create_time)",
        &[
            &column(&kept, |coupon| coupon.id.0),
            &column(&kept, |coupon| coupon.member.0),
            &column(&kept, |coupon| coupon.state.clone()),
            &column(&kept, |coupon| coupon.version),
            &column(&kept, |coupon| coupon.body.clone()),
            &column(&kept, |coupon| coupon.create_time),
        ],
    )
    .await?;
    Ok(())
}

/// Reads a member's coupons, newest first.
pub(crate) async fn list(reader: &mut Reader, member: MemberId) -> Result<Vec<Coupon>, Error> {
    let rows = reader
        .query(
            "select coupon_id, state, version, body, create_time from coupon_view
             where member_id = $1 order by coupon_id desc",
            &[&member.0],
        )
        .await?;
    let coupon = |row: &Row| Coupon {
        id: CouponId(row.get("coupon_id")),
        member,
        state: row.get("state"),
        version: row.get("version"),
        body: row.get("body"),
        create_time: row.get("create_time"),
    };
    Ok(rows.iter().map(coupon).collect())
}
