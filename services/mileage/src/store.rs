//! All the SQL of mileage. Locks go from the member's account to the payment, or the
//! order, each sorted by id.

pub(crate) mod account;
pub(crate) mod read;
pub(crate) mod spend;
pub(crate) mod warning;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter, mem,
    time::{Duration, SystemTime},
};

use base::{Error, id::Uuid};
use eventlog::{Draft, facts};
use pg::{Cause, Tx};
use tokio_postgres::{Row, types::ToSql};

use self::account::{Accounts, expired};
use crate::{
    domain::{
        Entry, EntryId, Fact, MemberId, OrderId, Outcome, PaymentId, Points, Rate, State,
        account::Kind,
    },
    metrics,
    wire::{self, Happened},
};

/// All that makes up an entry.
macro_rules! select_entries {
    () => {
        "select id, payment_id, order_id, member_id, points, taken_back, basis_points, state, version,
           create_time, (select expire_time from mileage_lot where entry_id = mileage_entry.id) as expire_time
         from mileage_entry"
    };
}

/// What a payment earned, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    pub(crate) create_time: SystemTime,
    /// When what is left of it expires; none where nothing was earned.
    pub(crate) expire_time: Option<SystemTime>,
    version: i64,
    /// It has changed since it was read.
    changed: bool,
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let entry = Entry {
            id: EntryId(row.get("id")),
            payment: PaymentId(row.get("payment_id")),
            order: OrderId(row.get("order_id")),
            member: MemberId(row.get("member_id")),
            points: Points::stored(row.get("points")),
            taken_back: Points::stored(row.get("taken_back")),
            rate: row
                .get::<_, Option<i32>>("basis_points")
                .map(|it| Rate::stored(it.unsigned_abs())),
            state: State::named(row.get("state"))?,
        };
        Ok(Self {
            entry,
            create_time: row.get("create_time"),
            expire_time: row.get("expire_time"),
            version: row.get("version"),
            changed: false,
        })
    }
}

/// A fact about a payment, and where it comes from.
pub(crate) struct Learned {
    pub(crate) payment: PaymentId,
    pub(crate) order: OrderId,
    pub(crate) member: MemberId,
    pub(crate) fact: Fact,
    /// The event that said so; none for a call.
    pub(crate) cause: Option<Cause>,
}

/// Takes facts in, in this order. Points are earned at this rate, and expire after this time. Answers all
/// that the facts are about, as it is then.
pub(crate) async fn learn(
    tx: &mut Tx,
    facts: &[Learned],
    rate: Rate,
    expire_after: Duration,
) -> Result<BTreeMap<PaymentId, Stored>, Error> {
    if facts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut accounts = Accounts::lock(tx, facts.iter().map(|learned| learned.member)).await?;
    let mut entries = lock(tx, facts).await?;
    load(tx, facts, &entries, &mut accounts).await?;
    let mut drafts = Vec::new();
    for learned in facts {
        let Some(stored) = entries.get_mut(&learned.payment) else { continue };
        let outcome = stored.entry.learn(learned.fact, rate);
        if outcome == Outcome::Unchanged {
            continue;
        }
        stored.changed = true;
        let points = stored.entry.worth();
        tx.once_committed(move || metrics::changed(outcome, points));
        let caused = |draft: Draft| draft.caused_by(learned.cause.as_ref());
        drafts.extend(change(stored, outcome, &mut accounts, expire_after).into_iter().map(caused));
    }
    save(tx, &entries).await?;
    for stored in entries.values_mut() {
        let lot = accounts.lot(stored.entry.member, stored.entry.id);
        stored.expire_time = stored.expire_time.or(lot.map(|lot| lot.expire_time));
    }
    accounts.save(tx).await?;
    eventlog::append(tx, &drafts).await?;
    Ok(entries)
}

/// What an outcome means for the member's account. Answers the events.
fn change(
    stored: &mut Stored,
    outcome: Outcome,
    accounts: &mut Accounts,
    expire_after: Duration,
) -> Vec<Draft> {
    let (entry, version) = (&stored.entry, &mut stored.version);
    let (id, member) = (entry.id, entry.member);
    let mut draft = |happened: &Happened<'_>, lots| {
        *version += 1;
        Draft::of(wire::event(happened, lots), id.0, *version, entry.order.0)
    };
    match outcome {
        Outcome::Earned => {
            let expire_time = accounts.now.checked_add(expire_after).unwrap_or(accounts.now);
            accounts.change(member, |it, _| it.earn(id, entry.points.get(), expire_time));
            let (lots, more) = accounts.changed_lots(member);
            let earned = draft(&Happened::Earned(entry, expire_time), lots);
            iter::once(earned).chain(more).collect()
        }
        Outcome::Cancelled => {
            let (revoke, due) = revoke(entry, 0, accounts);
            let (lots, more) = accounts.changed_lots(member);
            let cancelled = draft(&Happened::Cancelled(entry, revoke.as_ref()), lots);
            let due = expired(member, &due, Vec::new());
            iter::once(cancelled).chain(due).chain(more).collect()
        }
        Outcome::Reduced(_) => {
            let (revoke, due) = revoke(entry, entry.worth().get(), accounts);
            let (mut lots, more) = accounts.changed_lots(member);
            // It may all have expired that would have been taken back.
            let revoked =
                revoke.map(|it| draft(&Happened::Revoked(entry, &it), mem::take(&mut lots)));
            let due = expired(member, &due, lots);
            revoked.into_iter().chain(due).chain(more).collect()
        }
        Outcome::Refused => {
            *version += 1;
            Vec::new()
        }
        Outcome::Unchanged => Vec::new(),
    }
}

/// Takes back what an entry earned beyond this worth. Answers the REVOKE entry, if there is one, and those
/// of points that were due, and nobody had met yet.
fn revoke(
    entry: &Entry,
    worth: i64,
    accounts: &mut Accounts,
) -> (Option<account::StoredMovement>, Vec<account::StoredMovement>) {
    let movements = accounts.change(entry.member, |it, now| it.revoke(entry.id, worth, now));
    let mut entries = accounts.record(entry.member, movements, None);
    let revoke = entries.pop_if(|it| it.movement.kind == Kind::Revoke);
    (revoke, entries)
}

/// Makes sure that each payment has an entry's row, NEW if need be.
async fn lock(tx: &mut Tx, facts: &[Learned]) -> Result<BTreeMap<PaymentId, Stored>, Error> {
    let payments: BTreeMap<PaymentId, &Learned> =
        facts.iter().map(|learned| (learned.payment, learned)).collect();
    let ids: Vec<Uuid> = payments.keys().map(|_| base::id::new()).collect();
    let orders: Vec<Uuid> = payments.values().map(|learned| learned.order.0).collect();
    let members: Vec<Uuid> = payments.values().map(|learned| learned.member.0).collect();
    let payments: Vec<Uuid> = payments.into_keys().map(|payment| payment.0).collect();
    let make = concat!(
        "with made as (
           insert into mileage_entry (id, payment_id, order_id, member_id, points, state)
           select i, p, o, m, 0, 'NEW'
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[])
             as learned (i, p, o, m)
           on conflict (payment_id) do nothing
           returning id, payment_id, order_id, member_id, points, taken_back, basis_points, state, version,
             create_time, null::timestamptz as expire_time)
         select * from (",
        select_entries!(),
        " where payment_id = any($2) order by payment_id for update) kept
         union all select * from made"
    );
    let again =
        concat!(select_entries!(), " where payment_id = any($1) order by payment_id for update");
    let params: &[&(dyn ToSql + Sync)] = &[&ids, &payments, &orders, &members];
    let rows = facts::lock_or_make(tx, &payments, (make, params), again).await?;
    rows.iter()
        .map(|row| Stored::from_row(row).map(|stored| (stored.entry.payment, stored)))
        .collect()
}

/// Reads the lots that payments which are cancelled, or reduced, take points out of: their own, and others where
/// those have been spent.
async fn load(
    tx: &mut Tx,
    facts: &[Learned],
    entries: &BTreeMap<PaymentId, Stored>,
    accounts: &mut Accounts,
) -> Result<(), Error> {
    let takes_back = |it: &&Learned| matches!(it.fact, Fact::Cancelled | Fact::Reduced(_));
    let less: BTreeSet<PaymentId> = facts.iter().filter(takes_back).map(|it| it.payment).collect();
    let known = entries.values().filter(|it| less.contains(&it.entry.payment));
    let earned: Vec<&Entry> =
        known.map(|it| &it.entry).filter(|it| it.state == State::Earned).collect();
    let ids: Vec<Uuid> = earned.iter().map(|entry| entry.id.0).collect();
    accounts.load(tx, &ids).await?;
    let mut short: BTreeMap<MemberId, (bool, i128)> = BTreeMap::new();
    for entry in earned {
        let Some(lot) = accounts.lot(entry.member, entry.id) else { continue };
        let (spent, wanted) = short.entry(entry.member).or_default();
        *spent |= lot.remaining + lot.expired < lot.points || lot.expire_time <= accounts.now;
        *wanted += i128::from(lot.points);
    }
    for (member, (spent, points)) in short {
        if spent {
            accounts.load_oldest(tx, member, points).await?;
        }
    }
    Ok(())
}

async fn save(tx: &mut Tx, entries: &BTreeMap<PaymentId, Stored>) -> Result<(), Error> {
    let changed: Vec<&Stored> = entries.values().filter(|stored| stored.changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let payments: Vec<Uuid> = changed.iter().map(|stored| stored.entry.payment.0).collect();
    let points: Vec<i64> = changed.iter().map(|stored| stored.entry.points.get()).collect();
    let taken_back: Vec<i64> = changed.iter().map(|stored| stored.entry.taken_back.get()).collect();
    let rates: Vec<Option<i32>> = changed
        .iter()
        .map(|stored| stored.entry.rate.and_then(|it| i32::try_from(it.basis_points()).ok()))
        .collect();
    let states: Vec<&str> = changed.iter().map(|stored| stored.entry.state.name()).collect();
    let versions: Vec<i64> = changed.iter().map(|stored| stored.version).collect();
    tx.execute(
        "update mileage_entry set points = n.points, state = n.state, version = n.version,
           taken_back = n.taken_back, basis_points = n.basis_points
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::int[])
           as n(payment_id, points, state, version, taken_back, basis_points)
         where mileage_entry.payment_id = n.payment_id",
        &[&payments, &points, &states, &versions, &taken_back, &rates],
    )
    .await?;
    Ok(())
}
