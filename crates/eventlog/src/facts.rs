//! Facts about many things at once: their rows are locked as a set, in one order, each fact is decided
//! by itself, and what has changed is saved as a set, with its events.
//!
//! A thing that is heard of for the first time may get its row by that. So whatever comes first, be it
//! the end, leaves something that refuses what comes late.

use std::collections::{BTreeMap, BTreeSet};

use base::{Error, id::Uuid};
use pg::{Cause, Tx};
use tokio_postgres::{Row, types::ToSql};

use crate::{Arrived, Draft, append};

/// Something that facts change: the delivery of an order, a member's coupon.
pub trait Aggregate: Sized + Send + Sync {
    /// Identifies it among those of its kind.
    type Key: Copy + Ord + Send + Sync;
    /// What can be learned of one.
    type Fact: Send + Sync;

    /// Locks the rows that these facts are about, in the order of their keys, and makes those that
    /// are missing, if they are to be made.
    fn lock(
        tx: &mut Tx,
        facts: &[Learned<Self>],
    ) -> impl Future<Output = Result<BTreeMap<Self::Key, Self>, Error>> + Send;

    /// Takes a fact in. Answers the events that it leads to; none at all when nothing has changed by
    /// it.
    fn learn(&mut self, tx: &mut Tx, fact: &Self::Fact) -> Option<Vec<Draft>>;

    /// Saves what has changed.
    fn save(tx: &mut Tx, changed: &[&Self]) -> impl Future<Output = Result<(), Error>> + Send;

    /// A fact about something that has no row changes nothing.
    fn ignored(_: Self::Key) {}
}

/// A fact, and where it comes from.
#[derive(Clone, Debug)]
pub struct Learned<A: Aggregate> {
    /// What it is about.
    pub key: A::Key,
    /// What is known now.
    pub fact: A::Fact,
    /// The event that said so; none for a call.
    pub cause: Option<Cause>,
}

/// Takes facts in, in this order. Answers all that they are about, as it is then.
pub async fn learn<A: Aggregate>(
    tx: &mut Tx,
    facts: &[Learned<A>],
) -> Result<BTreeMap<A::Key, A>, Error> {
    if facts.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut all = A::lock(tx, facts).await?;
    let (mut changed, mut drafts) = (BTreeSet::new(), Vec::new());
    for Learned { key, fact, cause } in facts {
        let Some(one) = all.get_mut(key) else {
            A::ignored(*key);
            continue;
        };
        let Some(events) = one.learn(tx, fact) else { continue };
        changed.insert(*key);
        drafts.extend(events.into_iter().map(|draft| draft.caused_by(cause.as_ref())));
    }
    if !changed.is_empty() {
        let changed: Vec<&A> = changed.iter().filter_map(|key| all.get(key)).collect();
        A::save(tx, &changed).await?;
    }
    append(tx, &drafts).await?;
    Ok(all)
}

/// What a batch says, of those of its events that say something.
pub fn of<M, T>(
    batch: &[Arrived<M>],
    mut said: impl FnMut(&Arrived<M>) -> Result<Option<T>, Error>,
) -> Result<Vec<T>, Error> {
    batch.iter().filter_map(|arrived| said(arrived).transpose()).collect()
}

/// The rows of these keys, locked. `make` inserts those that are missing and answers them with those
/// that were there; it does not see one that somebody else is making, which `again` then reads and
/// locks, by the keys alone.
pub async fn lock_or_make(
    tx: &mut Tx,
    keys: &[Uuid],
    (make, params): (&'static str, &[&(dyn ToSql + Sync)]),
    again: &'static str,
) -> Result<Vec<Row>, Error> {
    let rows = tx.query(make, params).await?;
    if rows.len() == keys.len() {
        return Ok(rows);
    }
    Ok(tx.query(again, &[&keys]).await?)
}
