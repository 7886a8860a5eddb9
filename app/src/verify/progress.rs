//! How far the logs and those who follow them are: no position is missing, nobody
//! has seen what is not there, everybody has seen the rest, nothing waits for an
//! operator.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use uuid::Uuid;

use super::{
    findings::{About, Rule, Suspicions},
    scope::Scope,
    sources::Sources,
};

pub(super) const RULES: &[Rule] = &[APPLIED, DENSE, PROVES, LOST, PARKED];

const APPLIED: Rule = "every consumer has applied all that its sources published";
const DENSE: Rule = "the positions of each log are dense";
const PROVES: Rule = "each checkpoint is at an event that its source's log has";
const LOST: Rule = "no consumer waits for the loss of events to be accepted";
const PARKED: Rule = "no event is parked";

/// What was numbered. This, [`CHECKPOINTS`] and [`LOSSES`] are all that is read of how the event log
/// keeps its own accounts.
const NUMBERED: &str = "select max(position) from numbering";

const CHECKPOINTS: &str = "
    select distinct on (consumer, source, partition) consumer, source, partition, position, event_id
    from checkpoint order by consumer, source, partition, position desc";

const LOSSES: &str = "
    select consumer, source, count(*), min(common) from log_loss where accepted_at is null
    group by consumer, source order by consumer, source";

/// Which of these stand in the log, each by its position and its event.
const PROVEN: &str = "
    select p.position, c.event_id from unnest($1::bigint[], $2::uuid[]) as c (position, event_id)
    join event_position p using (position) join event e on e.id = p.id and e.event_id = c.event_id";

/// The positions of a log after one, and its last.
const POSITIONS: &str = "
    select count(*) as count, coalesce(min(position), $1::bigint + 1) as first,
      coalesce((select max(position) from event_position), 0) as last
    from event_position where position > $1::bigint";

/// Events without a position, and positions without an event, after an event.
const ALONE: &str = "
    select e.id as event, p.id as numbered
    from (select id from event where id > $1) e
    full join (select id from event_position where id > $1) p on p.id = e.id
    where e.id is null or p.id is null
    order by coalesce(e.id, p.id) limit 10000";

/// The last position of each partition.
const HEADS: &str = "
    select p.partition::smallint, coalesce(
      (select max(position) from event_position e where e.partition = p.partition), 0) as position
    from generate_series(0, 63) as p (partition)";

const ASIDE: &str = "
    select consumer, source, count(*), min(position) from parked
    group by consumer, source order by consumer, source";

/// How far one consumer is in one partition of one source.
struct Checkpoint {
    consumer: String,
    source: String,
    partition: i16,
    position: i64,
    /// None at 0, and where none was kept yet.
    event: Option<Uuid>,
}

/// What is so in one database at one moment.
pub(super) async fn check_logs(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    for service in sources.services() {
        let after = scope.after_position(service);
        let row = &sources.rows(service, POSITIONS, &[&after]).await?[0];
        let (count, first, last): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if first != after + 1 || count != last - after {
            let (count, last) = (count + after, last);
            let offence = format!("{service} has {count} positions, the last of them {last}");
            found.certain(DENSE, offence);
        }
        for (rule, sql, what) in [(PARKED, ASIDE, "parked"), (LOST, LOSSES, "lost")] {
            for row in sources.rows(service, sql, &[]).await? {
                let (consumer, source): (&str, &str) = (row.get(0), row.get(1));
                let (count, first): (i64, i64) = (row.get(2), row.get(3));
                let offence = format!("{consumer}: {what} of {source}, {count} from {first} on");
                found.certain(rule, offence);
            }
        }
    }
    Ok(())
}

/// Events that wait for their position, or have lost it; checkpoints against heads.
pub(super) async fn check_progress(
    sources: &Sources,
    scope: &Scope,
    found: &mut Suspicions,
) -> Result<()> {
    for service in sources.services() {
        for row in sources.rows(service, ALONE, &[&scope.after_event(service)]).await? {
            let (event, numbered): (Option<i64>, Option<i64>) = (row.get(0), row.get(1));
            let id = event.or(numbered).unwrap_or_default();
            let state =
                if event.is_some() { "has no position" } else { "is lost, its position not" };
            found.suspect(DENSE, About::Event(service, id), state.to_owned());
        }
    }
    // Consumers before sources: what is applied is then never more than what there is.
    let checkpoints = checkpoints(sources).await?;
    let (heads, proven) = (heads(sources).await?, proven(sources, &checkpoints).await?);
    for checkpoint in checkpoints {
        let Checkpoint { consumer, source, partition, position, event } = checkpoint;
        let about = About::Other(format!("{consumer} in partition {partition} of {source}"));
        let last = heads.get(&*source).and_then(|head| head.partitions.get(&partition));
        let last = last.copied().unwrap_or_default();
        if event.is_some_and(|event| !proven.contains(&(source, position, event))) {
            let state = format!("has seen position {position}, where the log has no such event");
            found.suspect(PROVES, about, state);
        } else if position < last {
            // As long as it moves, it is not stuck, however far the end is.
            found.suspect(APPLIED, about, format!("is behind, at {position}"));
        }
    }
    for (service, head) in heads {
        let last = head.partitions.values().max().copied().unwrap_or_default();
        if head.numbered < last {
            let state = format!("goes on from {}, its last position is {last}", head.numbered);
            found.suspect(DENSE, About::Other(service.to_owned()), state);
        }
    }
    Ok(())
}

async fn checkpoints(sources: &Sources) -> Result<Vec<Checkpoint>> {
    let mut checkpoints = Vec::new();
    for service in sources.services() {
        let rows = sources.rows(service, CHECKPOINTS, &[]).await?;
        checkpoints.extend(rows.iter().map(|row| Checkpoint {
            consumer: row.get(0),
            source: row.get(1),
            partition: row.get(2),
            position: row.get(3),
            event: row.get(4),
        }));
    }
    Ok(checkpoints)
}

/// The places of checkpoints where the log has the event that they have.
async fn proven(
    sources: &Sources,
    checkpoints: &[Checkpoint],
) -> Result<BTreeSet<(String, i64, Uuid)>> {
    let mut proven = BTreeSet::new();
    for service in sources.services() {
        let of = checkpoints.iter().filter(|it| it.source == service && it.event.is_some());
        let (positions, events): (Vec<i64>, Vec<Option<Uuid>>) =
            of.map(|it| (it.position, it.event)).unzip();
        let rows = sources.rows(service, PROVEN, &[&positions, &events]).await?;
        proven.extend(rows.iter().map(|row| (service.to_owned(), row.get(0), row.get(1))));
    }
    Ok(proven)
}

/// How far a log goes.
struct Head {
    /// What the sequencer has numbered.
    numbered: i64,
    partitions: BTreeMap<i16, i64>,
}

async fn heads(sources: &Sources) -> Result<BTreeMap<&'static str, Head>> {
    let mut heads = BTreeMap::new();
    for service in sources.services() {
        let partitions = sources.rows(service, HEADS, &[]).await?;
        let partitions = partitions.iter().map(|row| (row.get(0), row.get(1))).collect();
        // Read after the positions: it is never less than them.
        let numbered = sources.rows(service, NUMBERED, &[]).await?;
        let numbered = numbered.first().and_then(|row| row.get(0)).unwrap_or(0);
        heads.insert(service, Head { numbered, partitions });
    }
    Ok(heads)
}
