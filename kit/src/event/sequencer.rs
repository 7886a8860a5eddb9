//! Gives every event its place in the log, after its commit: dense, none left
//! out, per correlation in the order in which things happened.
//!
//! Reading a table by `id > last` loses what commits late. The sequencer keeps
//! the snapshot of its last look instead: what that snapshot did not see, and
//! this one does, is new.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Database, Error, Tx};

/// Whether there is anything to do, and the head. Takes no lock and no transaction id, so that an
/// idle log costs nothing.
const LOOK: &str = "
    select position, incarnation,
      exists (select from event e where e.xid >= pg_snapshot_xmax(s.snapshot) and e.id > s.floor)
      or exists (select from pg_snapshot_xip(s.snapshot) x (xid) join event e using (xid)
        where e.id > s.floor) as fresh
    from sequencer s";

/// One sequencer at a time, with all the time it needs, as there may be much to number; and whether
/// this is still the log that it has numbered so far.
const LOCK: &str = "
    select set_config('statement_timeout', '0', true), s.system_identifier = c.system_identifier
      and s.timeline_id = substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) as same
    from sequencer s, pg_control_system() c for update of s";

/// A statement of its own after `LOCK`: it needs the newer snapshot. And it stores that very
/// snapshot: one taken by a third statement would lose what committed in between.
const NUMBER: &str = "
    with s as materialized (select position, snapshot, floor from sequencer),
    fresh as (
      select e.id, e.partition from s, event e
      where e.xid >= pg_snapshot_xmax(s.snapshot) and e.id > s.floor
      union all
      select e.id, e.partition from s, pg_snapshot_xip(s.snapshot) x (xid) join event e using (xid)
      where e.id > s.floor),
    numbered as (
      insert into event_position (position, partition, id)
      select (select position from s) + row_number() over (order by id), partition, id from fresh
      returning position)
    update sequencer set position = m.head, snapshot = pg_current_snapshot()
    from (select max(position) as head from numbered) m where m.head is not null
    returning sequencer.position, incarnation";

const HEAD: &str = "select position, incarnation from sequencer";

/// Where a log ends, and which log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) position: i64,
    pub(super) incarnation: Uuid,
}

impl Head {
    fn from_row(row: &Row) -> Self {
        Self { position: row.get("position"), incarnation: row.get("incarnation") }
    }
}

/// The head, unless something has committed that has no position yet.
pub(super) async fn look(database: &Database) -> Result<Option<Head>, Error> {
    let row = database.read().await?.query_one(LOOK, &[]).await?;
    Ok((!row.get::<_, bool>("fresh")).then(|| Head::from_row(&row)))
}

/// The head as it is.
pub(super) async fn head(database: &Database) -> Result<Head, Error> {
    Ok(Head::from_row(&database.read().await?.query_one(HEAD, &[]).await?))
}

/// Numbers what is new; answers the head. Sound with any number of sequencers at once.
pub(super) async fn number(database: &Database) -> Result<Head, Error> {
    let mut tx = database.begin().await?;
    let row = if !tx.query_one(LOCK, &[]).await?.get::<_, bool>("same") {
        begin_anew(&mut tx).await?
    } else if let Some(row) = tx.query_opt(NUMBER, &[]).await? {
        row
    } else {
        tx.query_one(HEAD, &[]).await?
    };
    tx.commit().await?;
    Ok(Head::from_row(&row))
}

/// After a restore: the transaction ids of this server say nothing about the events that are here,
/// and positions that were given out since the backup may be given out again. So everything
/// without a position gets one, and the log becomes another.
async fn begin_anew(tx: &mut Tx) -> Result<Row, Error> {
    tx.batch("lock table event in share row exclusive mode").await?;
    let row = tx
        .query_one(
            "with numbered as (
               insert into event_position (position, partition, id)
               select s.position + row_number() over (order by e.id), e.partition, e.id
               from sequencer s, event e
               where not exists (select from event_position p where p.id = e.id)
               returning position)
             update sequencer s
             set position = greatest(s.position, (select max(position) from numbered)),
               snapshot = pg_current_snapshot(),
               floor = coalesce((select max(id) from event), 0),
               incarnation = gen_random_uuid(),
               system_identifier = c.system_identifier,
               timeline_id = substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
             from pg_control_system() c
             returning s.position, s.incarnation",
            &[],
        )
        .await?;
    tracing::warn!(head = ?Head::from_row(&row), "the database was restored: its log is a new one");
    Ok(row)
}
