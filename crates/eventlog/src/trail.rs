//! What a log says of something: the envelopes of its events, for whoever puts the logs of several services
//! together. No payloads: what happened is told by whoever it happened to.

use base::Error;
use pg::Database;
use uuid::Uuid;

use super::{log::envelope, v1::Envelope};

/// The events with one of these correlation ids, the oldest first; the newest 1,000 of them.
pub async fn list(database: &Database, correlation_ids: &[Uuid]) -> Result<Vec<Envelope>, Error> {
    // Behind a fence: the limit would have the events walked backwards, most of them of something else.
    let sql = "select id, event_id, type, aggregate_id, aggregate_version, correlation_id,
           causation_id, headers, occurred_at
         from (select id, event_id, type, aggregate_id, aggregate_version, correlation_id,
             causation_id, headers, occurred_at
           from event where correlation_id = any($1) offset 0) e
         order by id desc limit 1000";
    let rows = database.read().await?.query(sql, &[&correlation_ids]).await?;
    Ok(rows.iter().rev().map(envelope).collect())
}
