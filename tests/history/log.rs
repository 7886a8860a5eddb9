//! The log's own tables: positions for what was written, and checkpoints at the heads.

use std::collections::BTreeMap;

use tokio_postgres::{Client, types::ToSql};
use uuid::Uuid;

/// Numbers all events that have no position, as the sequencer would.
pub(super) async fn number(client: &Client) {
    let positions = "insert into event_position (position, partition, id)
        select (select coalesce(max(position), 0) from event_position)
          + row_number() over (order by id), partition, id
        from event where id > (select coalesce(max(id), 0) from event_position)";
    client.batch_execute(positions).await.expect("positions");
    // A statement of its own: its snapshot has seen all of them.
    let head = "insert into numbering (position, snapshot, shift)
        select p.position, pg_current_snapshot(),
          (select shift from numbering order by position desc limit 1)
        from event_position p order by p.position desc limit 1
        on conflict (position) do nothing";
    client.batch_execute(head).await.expect("a head");
}

/// Has every consumer be at the head of all its sources.
pub(super) async fn follow(clients: &BTreeMap<&'static str, Client>) {
    for (source, log) in clients {
        let heads = "select h.partition, h.position, e.event_id
            from (select partition, max(position) as position from event_position
                  group by partition) h
            join event_position p using (position) join event e using (id)";
        let heads = log.query(heads, &[]).await.expect("heads");
        let partitions: Vec<i16> = heads.iter().map(|row| row.get(0)).collect();
        let positions: Vec<i64> = heads.iter().map(|row| row.get(1)).collect();
        let events: Vec<Uuid> = heads.iter().map(|row| row.get(2)).collect();
        let sql = "update checkpoint c
            set position = h.position, event_id = h.id, applied = h.position, applied_id = h.id
            from unnest($2::smallint[], $3::bigint[], $4::uuid[]) as h (partition, position, id)
            where c.source = $1 and c.partition = h.partition";
        for follower in clients.values() {
            let columns: [&(dyn ToSql + Sync); 4] = [source, &partitions, &positions, &events];
            follower.execute(sql, &columns).await.expect("checkpoints");
        }
    }
}
