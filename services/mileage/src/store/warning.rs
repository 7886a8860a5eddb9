//! The SQL of telling members that points of theirs expire soon. A lot is told of once, also when its
//! points are spent and come back.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use base::{Error, id::Uuid};
use eventlog::Draft;
use pg::{Tx, clock};

use super::account::{AT_ONCE, Accounts};
use crate::{
    domain::{EntryId, MemberId},
    wire::{self, Happened},
};

/// A member's points that expire soon.
pub(crate) struct Expiring {
    pub(crate) member: MemberId,
    pub(crate) points: i64,
    /// When the first of them expire.
    pub(crate) before: SystemTime,
    /// The entry that earned those.
    pub(crate) entry: EntryId,
}

/// Tells some members, each once, of all points of theirs that expire within this time and that they
/// were not told of. Whether there may be more.
pub(crate) async fn warn(tx: &mut Tx, within: Duration) -> Result<bool, Error> {
    let now = clock::now(tx).await?;
    let until = now + within;
    let sql = "select member_id from mileage_lot
         where remaining > 0 and not warned and (case when not warned then expire_time end) > $1
           and (case when not warned then expire_time end) <= $2
         order by (case when not warned then expire_time end) limit $3";
    let rows = tx.query(sql, &[&now, &until, &AT_ONCE]).await?;
    let members: BTreeSet<MemberId> = rows.iter().map(|row| MemberId(row.get(0))).collect();
    if members.is_empty() {
        return Ok(false);
    }
    // Nobody spends meanwhile what they are told that they have left.
    Accounts::lock(tx, members.iter().copied()).await?;
    let drafts: Vec<Draft> = mark(tx, &members, (now, until))
        .await?
        .iter()
        .map(|it| (wire::event(&Happened::Expiring(it), Vec::new()), it.member.0))
        .map(|(event, member)| Draft::of(event, base::id::new(), 1, member))
        .collect();
    eventlog::append(tx, &drafts).await?;
    Ok(i64::try_from(rows.len()).is_ok_and(|found| found == AT_ONCE))
}

/// Marks these members' lots as told of. Answers what they have left.
async fn mark(
    tx: &mut Tx,
    members: &BTreeSet<MemberId>,
    (now, until): (SystemTime, SystemTime),
) -> Result<Vec<Expiring>, Error> {
    let members: Vec<Uuid> = members.iter().map(|member| member.0).collect();
    // `offset 0` keeps it one look into the index of a member's lots for each member, never one at everybody's.
    let sql = "with soon as (
           select lot.entry_id from unnest($1::uuid[]) as told (member_id), lateral (
             select entry_id from mileage_lot l
             where l.member_id = told.member_id and remaining > 0 and not warned
               and expire_time > $2 and expire_time <= $3
             offset 0) lot),
         marked as (
           update mileage_lot l set warned = true from soon where l.entry_id = soon.entry_id
           returning l.member_id, l.entry_id, l.remaining, l.expire_time)
         select member_id, sum(remaining)::bigint as points, min(expire_time) as before,
           (array_agg(entry_id order by expire_time, entry_id))[1] as entry_id
         from marked group by member_id order by member_id";
    let rows = tx.query(sql, &[&members, &now, &until]).await?;
    let expiring = rows.iter().map(|row| Expiring {
        member: MemberId(row.get("member_id")),
        points: row.get("points"),
        before: row.get("before"),
        entry: EntryId(row.get("entry_id")),
    });
    Ok(expiring.collect())
}
