//! What is to be looked at: everything, or what has happened since a run that found
//! nothing. Such a run leaves a watermark: how far each service's log went when it
//! began. Whatever happens to an order, a member or a product is in one of the
//! logs, so what their events name is all that can have changed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::sources::Sources;

/// Of more than this, everything is looked at.
const FEW: usize = 100_000;

/// An event may be numbered after so many that have higher ids: those whose transactions took long.
const LATE: i64 = 10_000;

/// The end of a log, and the event there, which proves that it is this log.
const END: &str = "
    select p.position, e.event_id from event_position p join event e on e.id = p.id
    order by p.position desc limit 1";

const PROOF: &str = "
    select p.id from event_position p join event e on e.id = p.id
    where p.position = $1 and e.event_id = $2";

const TOUCHED: &str = "
    select distinct unnest(array[e.aggregate_id, e.correlation_id])
    from event_position p join event e on e.id = p.id where p.position > $1 limit $2";

/// What belongs to these orders, by the services that know.
const BELONGINGS: &[(&str, &str)] = &[
    ("order", "select distinct unnest(member_id || product_ids) from orders where id = any($1)"),
    ("payment", "select id from payment where order_id = any($1)"),
    ("mileage", "select id from mileage_entry where payment_id = any($1)"),
];

/// How far a log went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    position: i64,
    event: Uuid,
}

/// How far all logs went, by service. Of one without events there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Watermark(BTreeMap<String, Mark>);

impl Watermark {
    /// How far they go now.
    pub(super) async fn now(sources: &Sources) -> Result<Self> {
        let mut marks = BTreeMap::new();
        for service in sources.services() {
            for row in sources.rows(service, END, &[]).await? {
                let mark = Mark { position: row.get(0), event: row.get(1) };
                marks.insert(service.to_owned(), mark);
            }
        }
        Ok(Self(marks))
    }
}

/// What to look at.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Orders, members, products and what belongs to them; none: all.
    ids: Option<Vec<Uuid>>,
    /// By service, the position and the event's id that were the last at the watermark.
    after: BTreeMap<&'static str, (i64, i64)>,
}

impl Scope {
    /// What has happened since; everything when one of the logs is not what it was, or when that
    /// is so much that everything is looked at sooner.
    pub(super) async fn since(watermark: &Watermark, sources: &Sources) -> Result<Self> {
        let (mut after, mut ids) = (BTreeMap::new(), BTreeSet::new());
        for service in sources.services() {
            let mut position = 0;
            if let Some(mark) = watermark.0.get(service) {
                let proof = sources.rows(service, PROOF, &[&mark.position, &mark.event]).await?;
                let Some(row) = proof.first() else { return Ok(Self::default()) };
                position = mark.position;
                after.insert(service, (position, row.get::<_, i64>(0) - LATE));
            }
            let most = i64::try_from(FEW + 1 - ids.len()).unwrap_or(i64::MAX);
            let touched = sources.rows(service, TOUCHED, &[&position, &most]).await?;
            ids.extend(touched.iter().map(|row| row.get::<_, Uuid>(0)));
            if ids.len() > FEW {
                return Ok(Self::default());
            }
        }
        Self { ids: Some(ids.into_iter().collect()), after }.with_belongings(sources).await
    }

    /// These alone, and what belongs to them. Of the events that wait for their position, those
    /// after the ids in `events`.
    pub(super) async fn these(
        ids: Vec<Uuid>,
        events: BTreeMap<&'static str, i64>,
        sources: &Sources,
    ) -> Result<Self> {
        let after = events.into_iter().map(|(service, id)| (service, (0, id))).collect();
        Self { ids: Some(ids), after }.with_belongings(sources).await
    }

    async fn with_belongings(mut self, sources: &Sources) -> Result<Self> {
        for (service, sql) in BELONGINGS {
            let rows = sources.rows(service, sql, &[&self.ids]).await?;
            let ids = self.ids.get_or_insert_default();
            ids.extend(rows.iter().map(|row| row.get::<_, Uuid>(0)));
            ids.sort_unstable();
            ids.dedup();
        }
        Ok(self)
    }

    /// By which ids to look; none: all.
    pub(super) fn ids(&self) -> Option<&[Uuid]> {
        self.ids.as_deref()
    }

    /// The last position that need not be looked at.
    pub(super) fn after_position(&self, service: &str) -> i64 {
        self.after.get(service).map_or(0, |(position, _)| *position)
    }

    /// The id of the last event that need not be looked at.
    pub(super) fn after_event(&self, service: &str) -> i64 {
        self.after.get(service).map_or(0, |(_, id)| *id)
    }
}
