//! The logs and those who follow them: no position is missing, nobody has seen what
//! is not there, nothing was set aside.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Finding, sources::Sources};

const LOG: &str = "
    select (select max(position) from numbering) as head,
      (select count(*) from event_position) as positions,
      (select coalesce(min(position), 1) from event_position) as first,
      (select coalesce(max(position), 0) from event_position) as last,
      (select count(*) from event e
       where not exists (select from event_position p where p.id = e.id)) as unnumbered";

const CHECKPOINTS: &str = "
    select consumer, source, max(position) as position
    from checkpoint group by consumer, source order by consumer, source";

const PARKED: &str = "
    select consumer, source, count(*) as parked, min(position) as first from parked
    group by consumer, source order by consumer, source";

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let (mut gaps, mut heads) = (Vec::new(), BTreeMap::new());
    for service in sources.services() {
        for row in sources.rows(service, LOG).await? {
            let column = |name: &str| row.get::<_, i64>(name);
            let (head, positions, unnumbered) =
                (column("head"), column("positions"), column("unnumbered"));
            if column("first") != 1 || column("last") != head || positions != head || unnumbered > 0
            {
                gaps.push(format!(
                    "{service} has {positions} positions, from {} to {}, {unnumbered} events \
                     without one, and its head at {head}",
                    column("first"),
                    column("last")
                ));
            }
            heads.insert(service, head);
        }
    }
    Ok(vec![
        Finding { invariant: "the positions of each log are dense", offences: gaps },
        Finding {
            invariant: "no checkpoint is past the head of its source",
            offences: past_the_head(sources, &heads).await?,
        },
        Finding { invariant: "no event is set aside", offences: aside(sources).await? },
    ])
}

async fn past_the_head(
    sources: &Sources,
    heads: &BTreeMap<&'static str, i64>,
) -> Result<Vec<String>> {
    let mut offences = Vec::new();
    for service in sources.services() {
        for row in sources.rows(service, CHECKPOINTS).await? {
            let (consumer, source): (String, String) = (row.get(0), row.get(1));
            let position: i64 = row.get(2);
            match heads.get(source.as_str()) {
                None => offences.push(format!("{consumer} follows {source}, which is not here")),
                Some(head) if position > *head => {
                    offences.push(format!("{consumer} is at {position}, {source} ends at {head}"));
                }
                Some(_) => {}
            }
        }
    }
    Ok(offences)
}

async fn aside(sources: &Sources) -> Result<Vec<String>> {
    let mut offences = Vec::new();
    for service in sources.services() {
        for row in sources.rows(service, PARKED).await? {
            let (consumer, source): (String, String) = (row.get(0), row.get(1));
            let column = |name: &str| row.get::<_, i64>(name);
            offences.push(format!(
                "{consumer} has {} events of {source} parked, from position {}",
                column("parked"),
                column("first")
            ));
        }
    }
    Ok(offences)
}
