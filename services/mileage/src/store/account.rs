//! The SQL of what is left of members' points, and of what changed them. A member's
//! account is locked before anything of theirs; of their lots as many are read as are needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use base::{Error, id::Uuid};
use eventlog::Draft;
use pg::{Tx, clock};
use tokio_postgres::Row;

use crate::{
    domain::{
        EntryId, MemberId,
        account::{Account, Kind, Lot, Movement},
    },
    metrics,
    wire::{self, Happened, MileageLot},
};

/// Lots that are read at once.
pub(super) const AT_ONCE: i64 = 200;
/// Lots, or entries, that one event has: it stays well under what an event may have.
pub(super) const PER_EVENT: usize = 400;

/// All that makes up a lot.
macro_rules! select_lots {
    () => {
        "select entry_id, member_id, points, remaining, expired, revoked, expire_time, version
         from mileage_lot"
    };
}

/// A change of a balance as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredMovement {
    pub(crate) id: EntryId,
    pub(crate) member: MemberId,
    pub(crate) movement: Movement,
    pub(crate) create_time: SystemTime,
}

/// Accounts under lock, by member.
pub(crate) struct Accounts {
    all: BTreeMap<MemberId, Locked>,
    /// The time that what is due goes by.
    pub(crate) now: SystemTime,
    movements: Vec<StoredMovement>,
}

#[derive(Default)]
struct Locked {
    account: Account,
    /// Its debt as it is stored.
    debt: i64,
    /// The lots as they were published last, with their versions.
    published: BTreeMap<EntryId, (Lot, i64)>,
    changed: BTreeSet<EntryId>,
}

impl Accounts {
    /// Locks these members' accounts in the order of their ids; those that are missing are made.
    pub(crate) async fn lock(
        tx: &mut Tx,
        members: impl IntoIterator<Item = MemberId>,
    ) -> Result<Self, Error> {
        let members: BTreeSet<Uuid> = members.into_iter().map(|member| member.0).collect();
        let members: Vec<Uuid> = members.into_iter().collect();
        let make = "with made as (
               insert into mileage_account (member_id) select m from unnest($1::uuid[]) as l (m)
               on conflict (member_id) do nothing returning member_id, debt)
             select * from (
               select member_id, debt from mileage_account
               where member_id = any($1) order by member_id for update) kept
             union all select * from made";
        let again = "select member_id, debt from mileage_account
             where member_id = any($1) order by member_id for update";
        let rows = eventlog::facts::lock_or_make(tx, &members, (make, &[&members]), again).await?;
        let locked = |row: &Row| {
            let debt = row.get("debt");
            let account = Account { debt, ..Account::default() };
            (MemberId(row.get("member_id")), Locked { account, debt, ..Locked::default() })
        };
        let all = rows.iter().map(locked).collect();
        Ok(Self { all, now: clock::now(tx).await?, movements: Vec::new() })
    }

    /// Reads these lots.
    pub(crate) async fn load(&mut self, tx: &mut Tx, entries: &[Uuid]) -> Result<(), Error> {
        if !entries.is_empty() {
            let sql = concat!(select_lots!(), " where entry_id = any($1)");
            self.keep(&tx.query(sql, &[&entries]).await?);
        }
        Ok(())
    }

    /// Reads a member's oldest lots, until they have so many points that can be spent, or are all.
    pub(crate) async fn load_oldest(
        &mut self,
        tx: &mut Tx,
        member: MemberId,
        points: i128,
    ) -> Result<(), Error> {
        let sql = concat!(
            select_lots!(),
            " where member_id = $1 and remaining > 0 and (expire_time, entry_id) > ($2, $3)
              order by expire_time, entry_id limit $4"
        );
        let (mut found, mut after) = (0, (SystemTime::UNIX_EPOCH, Uuid::nil()));
        while found < points {
            let rows = tx.query(sql, &[&member.0, &after.0, &after.1, &AT_ONCE]).await?;
            let Some(last) = rows.last() else { break };
            after = (last.get("expire_time"), last.get("entry_id"));
            let good = |row: &&Row| row.get::<_, SystemTime>("expire_time") > self.now;
            found += rows
                .iter()
                .filter(good)
                .map(|it| i128::from(it.get::<_, i64>("remaining")))
                .sum::<i128>();
            self.keep(&rows);
        }
        Ok(())
    }

    /// Takes in lots that have been read; of one that was read before, what it is by now stays.
    fn keep(&mut self, rows: &[Row]) {
        for row in rows {
            let Some(locked) = self.all.get_mut(&MemberId(row.get("member_id"))) else { continue };
            let entry = EntryId(row.get("entry_id"));
            let lot = Lot {
                points: row.get("points"),
                remaining: row.get("remaining"),
                expired: row.get("expired"),
                revoked: row.get("revoked"),
                expire_time: row.get("expire_time"),
            };
            if locked.published.insert(entry, (lot, row.get("version"))).is_none() {
                locked.account.lots.insert(entry, lot);
            }
        }
    }

    /// What is left of an entry's points, if it was read.
    pub(crate) fn lot(&self, member: MemberId, entry: EntryId) -> Option<Lot> {
        self.all.get(&member).and_then(|locked| locked.account.lots.get(&entry)).copied()
    }

    /// Changes a member's account.
    pub(crate) fn change<T>(
        &mut self,
        member: MemberId,
        change: impl FnOnce(&mut Account, SystemTime) -> T,
    ) -> T {
        change(&mut self.all.entry(member).or_default().account, self.now)
    }

    /// Keeps what happened to a balance; a SPEND entry has the id that was made with its order.
    pub(crate) fn record(
        &mut self,
        member: MemberId,
        movements: Vec<Movement>,
        spend: Option<EntryId>,
    ) -> Vec<StoredMovement> {
        let now = self.now;
        let stored = |movement: Movement| {
            let spend = spend.filter(|_| movement.kind == Kind::Spend);
            let id = spend.unwrap_or_else(|| EntryId(base::id::new()));
            StoredMovement { id, member, movement, create_time: now }
        };
        let stored: Vec<StoredMovement> = movements.into_iter().map(stored).collect();
        self.movements.extend(stored.iter().cloned());
        stored
    }

    /// The lots of a member that have changed since they were published last, for an event; and events of
    /// their own for those that it has no room for.
    pub(crate) fn changed_lots(&mut self, member: MemberId) -> (Vec<MileageLot>, Vec<Draft>) {
        let Some(locked) = self.all.get_mut(&member) else { return (Vec::new(), Vec::new()) };
        let mut lots = Vec::new();
        for (entry, lot) in &locked.account.lots {
            let before = locked.published.get(entry).copied();
            if before.is_some_and(|(before, _)| before == *lot) {
                continue;
            }
            let version = before.map_or(1, |(_, version)| version + 1);
            locked.published.insert(*entry, (*lot, version));
            locked.changed.insert(*entry);
            lots.push(wire::lot(*entry, lot, version));
        }
        let more = lots.split_off(lots.len().min(PER_EVENT));
        let more = more.chunks(PER_EVENT).map(|lots| {
            let event = wire::event(&Happened::Expired(member, &[]), lots.to_vec());
            Draft::of(event, base::id::new(), 1, member.0)
        });
        (lots, more.collect())
    }

    /// Saves what has changed, and has been published.
    pub(crate) async fn save(self, tx: &mut Tx) -> Result<(), Error> {
        let indebted = self.all.iter().filter(|(_, it)| it.account.debt != it.debt);
        let (members, debts): (Vec<Uuid>, Vec<i64>) =
            indebted.map(|(member, it)| (member.0, it.account.debt)).unzip();
        if !members.is_empty() {
            tx.execute(
                "update mileage_account a set debt = n.debt
                 from unnest($1::uuid[], $2::bigint[]) as n (member_id, debt)
                 where a.member_id = n.member_id",
                &[&members, &debts],
            )
            .await?;
        }
        save_lots(tx, &self.all).await?;
        save_movements(tx, &self.movements).await?;
        let counted = self.movements;
        tx.once_committed(move || {
            for stored in &counted {
                metrics::moved(stored.movement.kind, stored.movement.points);
            }
        });
        Ok(())
    }
}

async fn save_lots(tx: &mut Tx, all: &BTreeMap<MemberId, Locked>) -> Result<(), Error> {
    let lots: Vec<(EntryId, MemberId, Lot, i64)> = all
        .iter()
        .flat_map(|(member, it)| it.changed.iter().map(move |entry| (*member, it, *entry)))
        .filter_map(|(member, it, entry)| {
            it.published.get(&entry).map(|(lot, version)| (entry, member, *lot, *version))
        })
        .collect();
    if lots.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into mileage_lot (entry_id, member_id, points, remaining, expired, expire_time,
           version, revoked)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[],
           $6::timestamptz[], $7::bigint[], $8::bigint[])
         on conflict (entry_id) do update set remaining = excluded.remaining,
           expired = excluded.expired, version = excluded.version, revoked = excluded.revoked",
        &[
            &lots.iter().map(|it| it.0.0).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.1.0).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.2.points).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.2.remaining).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.2.expired).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.2.expire_time).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.3).collect::<Vec<_>>(),
            &lots.iter().map(|it| it.2.revoked).collect::<Vec<_>>(),
        ],
    )
    .await?;
    Ok(())
}

async fn save_movements(tx: &mut Tx, movements: &[StoredMovement]) -> Result<(), Error> {
    fn column<'a, T>(all: &'a [StoredMovement], of: impl Fn(&'a StoredMovement) -> T) -> Vec<T> {
        all.iter().map(of).collect()
    }
    if movements.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into mileage_movement (id, member_id, kind, points, order_id, entry_id, expire_time,
           create_time)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::uuid[],
           $6::uuid[], $7::timestamptz[], $8::timestamptz[])",
        &[
            &column(movements, |it| it.id.0),
            &column(movements, |it| it.member.0),
            &column(movements, |it| it.movement.kind.name()),
            &column(movements, |it| it.movement.points),
            &column(movements, |it| it.movement.order.map(|order| order.0)),
            &column(movements, |it| it.movement.lot.map(|lot| lot.0)),
            &column(movements, |it| it.movement.expire_time),
            &column(movements, |it| it.create_time),
        ],
    )
    .await?;
    Ok(())
}

/// The event of points that have expired; none if none have.
pub(super) fn expired(
    member: MemberId,
    entries: &[StoredMovement],
    lots: Vec<MileageLot>,
) -> Option<Draft> {
    let first = entries.first()?.id;
    let event = wire::event(&Happened::Expired(member, entries), lots);
    Some(Draft::of(event, first.0, 1, member.0))
}

/// Ends some of the points that have not been spent in time. Whether there may be more.
pub(crate) async fn expire(tx: &mut Tx) -> Result<bool, Error> {
    let sql = "select entry_id, member_id from mileage_lot
         where remaining > 0 and expire_time <= clock_now() order by expire_time limit $1";
    let rows = tx.query(sql, &[&AT_ONCE]).await?;
    let entries: Vec<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    let members: BTreeSet<MemberId> = rows.iter().map(|row| MemberId(row.get(1))).collect();
    if members.is_empty() {
        return Ok(false);
    }
    let mut accounts = Accounts::lock(tx, members.iter().copied()).await?;
    accounts.load(tx, &entries).await?;
    let mut drafts = Vec::new();
    for member in members {
        let movements = accounts.change(member, Account::expire);
        let entries = accounts.record(member, movements, None);
        let (lots, more) = accounts.changed_lots(member);
        drafts.extend(expired(member, &entries, lots));
        drafts.extend(more);
    }
    accounts.save(tx).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(i64::try_from(rows.len()).is_ok_and(|ended| ended == AT_ONCE))
}
