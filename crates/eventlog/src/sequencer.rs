//! Gives every event its place in the log, after or with its commit: dense, none
//! left out, per correlation in the order in which things happened.
//!
//! Reading a table by `id > last` loses what commits late. The sequencer keeps
//! the snapshot of its last numbering instead: what that snapshot did not see, and
//! this one does, is new. Its SQL is the function `number_events`
//! (`crates/pg/migrations/V8__cursors.sql`).

use base::Error;
use pg::Database;
use tokio_postgres::Row;
use uuid::Uuid;

/// Where the log ends, which event stands where it was seen to end last, and whether something has
/// committed that has no position yet. Events are found by their transactions first (`offset 0`): the
/// planner would look for those without a position among all that there are. Takes no lock and no transaction id, so that an idle log
/// costs nothing.
const LOOK: &str = "
    select n.position, e.event_id,
      (select s.event_id from event_position q join event s using (id) where q.position = $1)
        as seen_id,
      exists (select from (select f.id from event f
          where f.xid >= (pg_snapshot_xmax(n.snapshot)::text::bigint + n.shift)::text::xid8
          offset 0) f
        where not exists (select from event_position q where q.id = f.id))
      or exists (select from pg_snapshot_xip(n.snapshot) x (xid),
          lateral (select f.id from event f
            where f.xid = (x.xid::text::bigint + n.shift)::text::xid8 offset 0) f
        where not exists (select from event_position q where q.id = f.id)) as fresh
    from (select position, snapshot, shift from numbering order by position desc limit 1) n
    left join event_position p using (position) left join event e using (id)";

const HEAD: &str = "
    select n.position, e.event_id
    from (select position from numbering order by position desc limit 1) n
    left join event_position p using (position) left join event e using (id)";

/// Numbers what is new; waits for whoever is numbering right now.
const NUMBER: &str = "select number_events(true)";

/// A position, and the event there; nil at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: i64,
    pub(super) event_id: Uuid,
}

impl Place {
    fn from_row(row: &Row) -> Self {
        let event_id: Option<Uuid> = row.get("event_id");
        Self { position: row.get("position"), event_id: event_id.unwrap_or_default() }
    }
}

/// What a look shows.
pub(super) struct Look {
    /// Where the log ends.
    pub(super) head: Place,
    /// The event that stands where somebody saw one.
    pub(super) seen: Option<Uuid>,
    /// Something has committed that has no position yet.
    pub(super) fresh: bool,
}

/// Looks how the log is, and what stands at a position.
pub(super) async fn look(database: &Database, position: i64) -> Result<Look, Error> {
    let row = database.read().await?.query_one(LOOK, &[&position]).await?;
    Ok(Look { head: Place::from_row(&row), seen: row.get("seen_id"), fresh: row.get("fresh") })
}

/// Where the log ends.
pub(super) async fn head(database: &Database) -> Result<Place, Error> {
    Ok(Place::from_row(&database.read().await?.query_one(HEAD, &[]).await?))
}

/// Numbers what is new. Sound with any number of sequencers at once, and beside transactions that
/// number what they have appended themselves.
pub(super) async fn number(database: &Database) -> Result<(), Error> {
    database.read().await?.query_one(NUMBER, &[]).await?;
    Ok(())
}

/// The ids of the events at these positions.
pub(super) async fn events_at(
    database: &Database,
    positions: &[i64],
) -> Result<Vec<(i64, Uuid)>, Error> {
    // Read one by one: a join may be begun from the other side, with all events.
    let sql = "select p.position, e.event_id from unnest($1::bigint[]) as w (position),
           lateral (select position, id from event_position
             where position = w.position offset 0) p,
           lateral (select event_id from event where id = p.id offset 0) e";
    let rows = database.read().await?.query(sql, &[&positions]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
