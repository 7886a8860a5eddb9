//! What people of the shop did by hand.

use std::time::SystemTime;

use base::{Error, id::Uuid, page::Page};
use pg::{Reader, Tx};
use tokio_postgres::Row;

/// Something that somebody did.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The event's that said so.
    pub(crate) id: Uuid,
    pub(crate) actor: Uuid,
    /// Its name in the contract.
    pub(crate) action: String,
    pub(crate) subject: Uuid,
    pub(crate) reason: String,
    pub(crate) change: String,
    pub(crate) create_time: SystemTime,
}

/// Keeps entries, each once.
pub(crate) async fn keep(tx: &mut Tx, entries: &[Entry]) -> Result<(), Error> {
    fn column<'a, T>(entries: &'a [Entry], of: impl Fn(&'a Entry) -> T) -> Vec<T> {
        entries.iter().map(of).collect()
    }
    if entries.is_empty() {
        return Ok(());
    }
    tx.execute(
        "insert into audit_entry (id, actor_id, action, subject_id, reason, change, create_time)
         select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[],
           $6::text[], $7::timestamptz[])
         on conflict (id) do nothing",
        &[
            &column(entries, |it| it.id),
            &column(entries, |it| it.actor),
            &column(entries, |it| it.action.as_str()),
            &column(entries, |it| it.subject),
            &column(entries, |it| it.reason.as_str()),
            &column(entries, |it| it.change.as_str()),
            &column(entries, |it| it.create_time),
        ],
    )
    .await?;
    Ok(())
}

/// Reads a page of entries, newest first: by somebody, about something, or all.
pub(crate) async fn list(
    reader: &mut Reader,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
    page: Page,
) -> Result<Vec<Entry>, Error> {
    let (below, limit) = (page.below.unwrap_or(Uuid::max()), page.limit());
    // A statement for each filter, so that each has the index that gives its order.
    let rows = match (actor, subject) {
        (None, None) => {
            let sql = "select id, actor_id, action, subject_id, reason, change, create_time
                 from audit_entry where id < $1 order by id desc limit $2";
            reader.query(sql, &[&below, &limit]).await?
        }
        (actor, Some(subject)) => {
            let sql = "select id, actor_id, action, subject_id, reason, change, create_time
                 from audit_entry
                 where subject_id = $1 and ($2::uuid is null or actor_id = $2) and id < $3
                 order by id desc limit $4";
            reader.query(sql, &[&subject, &actor, &below, &limit]).await?
        }
        (Some(actor), None) => {
            let sql = "select id, actor_id, action, subject_id, reason, change, create_time
                 from audit_entry where actor_id = $1 and id < $2 order by id desc limit $3";
            reader.query(sql, &[&actor, &below, &limit]).await?
        }
    };
    let entry = |row: &Row| Entry {
        id: row.get(0),
        actor: row.get(1),
        action: row.get(2),
        subject: row.get(3),
        reason: row.get(4),
        change: row.get(5),
        create_time: row.get(6),
    };
    Ok(rows.iter().map(entry).collect())
}
