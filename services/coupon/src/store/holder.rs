//! The SQL of members, who may hold coupons or not. Their row is locked before any
//! of their coupons, but by what ends those whose time has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, id::Uuid};
use eventlog::{
    Draft,
    facts::{self, Aggregate, Learned},
};
use pg::{Tx, clock};
use tokio_postgres::Row;

use super::{
    coupon::{self, Stored},
    policy::{self, StoredPolicy, WELCOME},
};
use crate::domain::{CouponId, Fact, MemberId, State, coupon::Outcome};

/// A member under lock.
pub(crate) struct Holder {
    member: MemberId,
    state: State,
    version: i64,
    /// The id that the coupon for signing up has, or would have had.
    first: CouponId,
    /// What they may redeem; of those who withdraw alone.
    issued: Vec<Stored>,
    /// The coupon that they get for signing up.
    welcome: Option<Stored>,
    policy: StoredPolicy,
    now: SystemTime,
}

impl Aggregate for Holder {
    type Key = MemberId;
    type Fact = Fact;

    /// Makes sure that each member has a row, NEW if need be.
    async fn lock(tx: &mut Tx, facts: &[Learned<Self>]) -> Result<BTreeMap<MemberId, Self>, Error> {
        let members: BTreeSet<Uuid> = facts.iter().map(|learned| learned.key.0).collect();
        let members: Vec<Uuid> = members.into_iter().collect();
        let ids: Vec<Uuid> = members.iter().map(|_| base::id::new()).collect();
        let make = "with made as (
               insert into coupon (id, member_id, state)
               select i, m, 'NEW' from unnest($1::uuid[], $2::uuid[]) as learned(i, m)
               on conflict (member_id) do nothing
               returning id, member_id, state, version)
             select * from (
               select id, member_id, state, version from coupon
               where member_id = any($2) order by member_id for update) kept
             union all select * from made";
        let again = "select id, member_id, state, version from coupon
             where member_id = any($1) order by member_id for update";
        let rows = facts::lock_or_make(tx, &members, (make, &[&ids, &members]), again).await?;
        let leaving = facts.iter().filter(|learned| learned.fact == Fact::Withdrawing);
        let leaving: Vec<Uuid> = leaving.map(|learned| learned.key.0).collect();
        let mut issued: BTreeMap<MemberId, Vec<Stored>> = BTreeMap::new();
        for stored in coupon::lock_issued(tx, &leaving).await?.into_values() {
            issued.entry(stored.coupon.member).or_default().push(stored);
        }
        let (policy, now) = (policy::read(tx, WELCOME).await?, clock::now(tx).await?);
        let holder = |row: &Row| {
            let member = MemberId(row.get("member_id"));
            let holder = Self {
                member,
                state: State::named(row.get("state"))?,
                version: row.get("version"),
                first: CouponId(row.get("id")),
                issued: issued.remove(&member).unwrap_or_default(),
                welcome: None,
                policy: policy.clone(),
                now,
            };
            Ok((member, holder))
        };
        rows.iter().map(holder).collect()
    }

    fn learn(&mut self, _: &mut Tx, fact: &Fact) -> Option<Vec<Draft>> {
        let state = self.state.after(*fact);
        if state == self.state {
            return None;
        }
        (self.state, self.version) = (state, self.version + 1);
        if state == State::Issued {
            let policy = &self.policy.policy;
            let mut welcome = Stored::issue(self.first, self.member, policy, self.now);
            let draft = welcome.draft(Outcome::Issued);
            self.welcome = Some(welcome);
            return Some(vec![draft]);
        }
        // Signed up and withdrawn in one batch: it is both, one after the other.
        let all = self.issued.iter_mut().chain(&mut self.welcome);
        let cancel =
            |stored: &mut Stored| stored.coupon.cancel().map(|outcome| stored.draft(outcome));
        Some(all.filter_map(cancel).collect())
    }

    async fn save(tx: &mut Tx, changed: &[&Self]) -> Result<(), Error> {
        let members: Vec<Uuid> = changed.iter().map(|holder| holder.member.0).collect();
        let states: Vec<&str> = changed.iter().map(|holder| holder.state.name()).collect();
        let versions: Vec<i64> = changed.iter().map(|holder| holder.version).collect();
        tx.execute(
            "update coupon set state = n.state, version = n.version
             from unnest($1::uuid[], $2::text[], $3::bigint[]) as n(member_id, state, version)
             where coupon.member_id = n.member_id",
            &[&members, &states, &versions],
        )
        .await?;
        let welcome: Vec<&Stored> = changed.iter().filter_map(|it| it.welcome.as_ref()).collect();
        coupon::insert(tx, &welcome).await?;
        coupon::save(tx, &changed.iter().flat_map(|it| &it.issued).collect::<Vec<_>>()).await
    }
}

/// Locks the members of whom coupon has heard, in the order of their ids: how far each has come.
pub(crate) async fn lock_known(
    tx: &mut Tx,
    members: impl IntoIterator<Item = MemberId>,
) -> Result<BTreeMap<MemberId, State>, Error> {
    let members: BTreeSet<Uuid> = members.into_iter().map(|member| member.0).collect();
    let members: Vec<Uuid> = members.into_iter().collect();
    let sql = "select member_id, state from coupon
         where member_id = any($1) order by member_id for update";
    let rows = tx.query(sql, &[&members]).await?;
    rows.iter()
        .map(|row| Ok((MemberId(row.get("member_id")), State::named(row.get("state"))?)))
        .collect()
}
