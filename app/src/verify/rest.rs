//! Whether the house is at rest: every consumer has applied all that there is, no
//! task is due, nothing is half done. Only then can the databases be compared.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Finding, sources::Sources};

/// The last position of each partition, and whether something has none yet.
const HEADS: &str = "
    select p.partition::smallint,
      coalesce((select max(position) from event_position e where e.partition = p.partition), 0)
        as position,
      exists (select from event
        where id > (select coalesce(max(id), 0) from event_position)) as unnumbered
    from generate_series(0, 63) as p (partition)
    order by partition";

const CHECKPOINTS: &str = "
    select consumer, source, partition, position from checkpoint
    order by consumer, source, partition";

/// Tasks that are due, under way (20 s is the worker's lease), or failing: whatever is not merely
/// waiting for its time.
const TASKS: &str = "
    select kind, key::text, attempts, coalesce(last_error, '') as last_error from task
    where due_at <= clock_now() or last_error is not null
      or (attempts > 0 and due_at <= clock_now() + interval '20 seconds')
    order by due_at";

/// States between the two commits of a call to another service, by service.
const HALF_DONE: &[(&str, &str)] = &[
    (
        "member",
        "select 'member ' || id || ' is ' || state from member where state = 'WITHDRAWING' order by id",
    ),
    (
        "order",
        "select 'order ' || id || ' is ' || state from orders
         where state in ('PENDING', 'ABORTING', 'CANCELLING') order by id",
    ),
    (
        "payment",
        "select 'payment ' || id || ' is ' || state from payment
         where state in ('NEW', 'AUTHORISING', 'CONFIRMING') order by id",
    ),
];

/// How far everything was at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// By service and partition.
    heads: BTreeMap<&'static str, BTreeMap<i16, i64>>,
    /// By consumer, source and partition.
    checkpoints: BTreeMap<(String, String, i16), i64>,
    /// Services with events that have no position yet.
    unnumbered: Vec<&'static str>,
    /// What is due or half done, for people.
    pending: Vec<String>,
}

impl Look {
    /// Looks once at everything.
    pub(super) async fn take(sources: &Sources) -> Result<Self> {
        let mut look = Self {
            heads: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            unnumbered: Vec::new(),
            pending: Vec::new(),
        };
        // Consumers before sources: what is applied is then never more than what there is.
        for service in sources.services() {
            for row in sources.rows(service, CHECKPOINTS).await? {
                look.checkpoints.insert((row.get(0), row.get(1), row.get(2)), row.get(3));
            }
            for row in sources.rows(service, TASKS).await? {
                let (kind, key): (String, String) = (row.get(0), row.get(1));
                let (attempts, error): (i32, String) = (row.get(2), row.get(3));
                let why = if error.is_empty() { String::new() } else { format!(" ({error})") };
                look.pending.push(format!(
                    "{service} has {kind} of {key} to do, after {attempts} attempts{why}"
                ));
            }
        }
        for (service, sql) in HALF_DONE {
            for row in sources.rows(service, sql).await? {
                look.pending.push(row.get(0));
            }
        }
        for service in sources.services() {
            let rows = sources.rows(service, HEADS).await?;
            if rows.iter().any(|row| row.get("unnumbered")) {
                look.unnumbered.push(service);
            }
            let heads = rows.iter().map(|row| (row.get("partition"), row.get("position")));
            look.heads.insert(service, heads.collect());
        }
        Ok(look)
    }

    /// Whether nothing moves, or will at once.
    pub(super) fn is_at_rest(&self) -> bool {
        self.findings().iter().all(Finding::holds)
    }

    /// What moves.
    pub(super) fn findings(&self) -> Vec<Finding> {
        vec![
            Finding {
                invariant: "every consumer has applied all that its sources published",
                offences: self.behind(),
            },
            Finding {
                invariant: "no task is overdue, and nothing is left half done",
                offences: self.pending.clone(),
            },
        ]
    }

    fn behind(&self) -> Vec<String> {
        let mut events: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for ((consumer, source, partition), position) in &self.checkpoints {
            let head = self.heads.get(source.as_str()).and_then(|heads| heads.get(partition));
            let missing = head.copied().unwrap_or_default() - position;
            if missing > 0 {
                let most = events.entry((consumer, source)).or_default();
                *most = (*most).max(missing);
            }
        }
        let behind = events.into_iter().map(|((consumer, source), positions)| {
            format!("{consumer} is up to {positions} positions behind {source}")
        });
        let unnumbered = self.unnumbered.iter();
        behind
            .chain(unnumbered.map(|name| format!("{name} has events without a position")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(checkpoint: i64) -> Look {
        Look {
            heads: [("order", [(3, 8), (4, 20)].into())].into(),
            checkpoints: [
                (("payment".into(), "order".into(), 3), checkpoint),
                (("payment".into(), "order".into(), 4), 20),
            ]
            .into(),
            unnumbered: Vec::new(),
            pending: Vec::new(),
        }
    }

    #[test]
    fn a_house_is_at_rest_when_every_partition_is_applied() {
        assert!(look(8).is_at_rest());
        // A checkpoint may cover what was passed over.
        assert!(look(20).is_at_rest());
        let behind = look(5);
        assert!(!behind.is_at_rest());
        assert_eq!(behind.behind(), ["payment is up to 3 positions behind order"]);
    }
}
