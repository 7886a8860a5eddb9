//! Whether a subscriber's past is a prefix of this log. A server's identity or
//! timeline does not tell: a failover to a synchronous standby changes them and
//! loses nothing, a restored volume keeps them and loses much. The event ids that
//! cursors carry do: positions are given once, so a log that has the same event at
//! a position has the same log up to there.
//!
//! Decides alone, by what stands at the positions that were asked for; judges each
//! partition by itself, so that only those stop that have seen what was lost.

use std::collections::HashMap;

use base::{Error, error, id};
use pg::Database;
use uuid::Uuid;

use super::{
    PARTITIONS, sequencer,
    v1::{Cursor, Lost},
};

/// What a log makes of a subscriber's cursors.
#[derive(Debug)]
pub(super) struct Proven {
    /// The log's last position.
    pub(super) head: i64,
    /// Where each partition goes on.
    pub(super) covered: [i64; PARTITIONS],
    /// Cursors that were moved back, as what they had seen last is gone; nothing of it was applied.
    pub(super) resumed: Vec<Cursor>,
    /// Partitions that cannot go on.
    pub(super) lost: Vec<Lost>,
    /// The events that are where the cursors say.
    found: HashMap<i64, Uuid>,
}

impl Proven {
    /// Where reading begins: behind what all partitions that go on have seen. With the event there,
    /// if a cursor proved it.
    pub(super) fn start(&self) -> (i64, Option<Uuid>) {
        let lost = |partition: i32| self.lost.iter().any(|lost| lost.partition == partition);
        let going_on = (0_i32..).zip(self.covered).filter(|(partition, _)| !lost(*partition));
        let at = going_on.map(|(_, position)| position).min().unwrap_or(self.head);
        (at, self.found.get(&at).copied())
    }
}

/// One partition's cursor, read.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    position: i64,
    event_id: Option<Uuid>,
    applied: i64,
    applied_id: Option<Uuid>,
}

/// Identity of the log, for subscribers of versions whose cursors carry no ids.
pub(super) async fn incarnation(database: &Database) -> Result<Uuid, Error> {
    Ok(database.read().await?.query_one("select incarnation from log", &[]).await?.get(0))
}

/// Looks up what the cursors claim, and judges them.
pub(super) async fn prove(database: &Database, cursors: &[Cursor]) -> Result<Proven, Error> {
    let claims = claims(cursors)?;
    // After the log's replacement nobody may look at what was there before.
    let mut positions: Vec<i64> =
        claims.iter().flat_map(|claim| [claim.position, claim.applied]).collect();
    positions.sort_unstable();
    positions.dedup();
    let found = sequencer::events_at(database, &positions).await?.into_iter().collect();
    let head = sequencer::head(database).await?.position;
    judge(&claims, found, head)
}

fn claims(cursors: &[Cursor]) -> Result<[Claim; PARTITIONS], Error> {
    let mut claims = [Claim::default(); PARTITIONS];
    for (index, cursor) in cursors.iter().enumerate() {
        let place = usize::try_from(cursor.partition).ok().and_then(|p| claims.get_mut(p));
        let field = |name: &str| format!("cursors[{index}].{name}");
        let event = |name: &str, value: &str| match value {
            "" => Ok(None),
            value => id::parse(&field(name), value).map(Some),
        };
        *place.ok_or_else(|| Error::violation(field("partition"), "must be 0 to 63"))? = Claim {
            position: cursor.position.max(0),
            event_id: event("eventId", &cursor.event_id)?,
            applied: cursor.applied.max(0),
            applied_id: event("appliedEventId", &cursor.applied_event_id)?,
        };
    }
    Ok(claims)
}

fn judge(
    claims: &[Claim; PARTITIONS],
    found: HashMap<i64, Uuid>,
    head: i64,
) -> Result<Proven, Error> {
    let holds = |position: i64, id: Option<Uuid>| match id {
        Some(id) => found.get(&position) == Some(&id),
        None => position <= head,
    };
    let told = claims.iter().flat_map(|c| [(c.position, c.event_id), (c.applied, c.applied_id)]);
    let told: Vec<_> = told.filter(|(_, id)| id.is_some()).collect();
    let positions = |proven: bool| {
        let those = told.iter().filter(move |(position, id)| holds(*position, *id) == proven);
        those.map(|(position, _)| *position)
    };
    // Up to here the log is the one that the subscriber has seen. What was proven beyond the first
    // place that is gone was seen after the loss, by partitions that went on.
    let gone = positions(false).min().unwrap_or(i64::MAX);
    let common = positions(true).filter(|position| *position < gone).max().unwrap_or_default();
    let id_at = |position: i64| found.get(&position).map_or_else(String::new, Uuid::to_string);
    let mut covered = [0; PARTITIONS];
    let (mut resumed, mut lost) = (Vec::new(), Vec::new());
    for (partition, (claim, covered)) in (0_i32..).zip(claims.iter().zip(&mut covered)) {
        *covered = claim.position;
        if holds(claim.position, claim.event_id) {
            continue;
        }
        if claim.event_id.is_none() && claim.applied_id.is_none() {
            return Err(past_the_head(head));
        }
        if holds(claim.applied, claim.applied_id) {
            *covered = claim.applied.max(common);
            resumed.push(Cursor {
                partition,
                position: *covered,
                event_id: id_at(*covered),
                applied: claim.applied,
                applied_event_id: claim.applied_id.map_or_else(String::new, |id| id.to_string()),
            });
        } else {
            lost.push(Lost { partition, common, common_event_id: id_at(common) });
        }
    }
    Ok(Proven { head, covered, resumed, lost, found })
}

fn past_the_head(head: i64) -> Error {
    Error::new(
        error::Kind::Conflict,
        "CURSOR_PAST_HEAD",
        format!("the log ends at {head}: it has lost events that were seen"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log whose event at each position has this id.
    fn id(log: u64, position: i64) -> Uuid {
        Uuid::from_u64_pair(log, position.unsigned_abs())
    }

    /// The log's events: the first 100 are common, those after were given anew.
    fn log(head: i64) -> HashMap<i64, Uuid> {
        (1..=head).map(|at| (at, id(if at <= 100 { 1 } else { 2 }, at))).collect()
    }

    /// A cursor of a subscriber of the first log.
    fn claim(position: i64, applied: i64) -> Claim {
        let of = |at: i64| (at > 0).then(|| id(1, at));
        Claim { position, event_id: of(position), applied, applied_id: of(applied) }
    }

    fn judged(some: &[(usize, Claim)], head: i64) -> Proven {
        let mut claims = [claim(100, 40); PARTITIONS];
        for (partition, claim) in some {
            claims[*partition] = *claim;
        }
        judge(&claims, log(head), head).expect("no cursor without ids is past the head")
    }

    #[test]
    fn a_past_that_is_in_the_log_goes_on_whatever_happened_to_the_server() {
        let proven = judged(&[(3, claim(90, 90)), (4, Claim::default())], 120);
        assert_eq!((proven.resumed.len(), proven.lost.len()), (0, 0));
        assert_eq!((proven.covered[3], proven.covered[4], proven.covered[5]), (90, 0, 100));
        assert_eq!(proven.start(), (0, None));
    }

    #[test]
    fn only_partitions_that_applied_what_was_lost_stop() {
        for head in [100, 105, 200] {
            let proven = judged(&[(3, claim(105, 105)), (4, claim(105, 99))], head);
            let lost: Vec<_> = proven.lost.iter().map(|l| (l.partition, l.common)).collect();
            assert_eq!(lost, [(3, 100)], "{head}");
            assert_eq!(proven.lost[0].common_event_id, id(1, 100).to_string());
            let [resumed] = proven.resumed.as_slice() else { panic!("{proven:?}") };
            assert_eq!((resumed.partition, resumed.position, resumed.applied), (4, 100, 99));
            assert_eq!(proven.start(), (100, Some(id(1, 100))));
        }
    }

    #[test]
    fn what_partitions_that_went_on_have_seen_since_is_not_in_common() {
        let anew = Claim { position: 150, event_id: Some(id(2, 150)), ..claim(0, 0) };
        let proven = judged(&[(3, claim(105, 105)), (4, anew)], 200);
        assert_eq!(proven.lost.iter().map(|l| l.common).collect::<Vec<_>>(), [100]);
    }

    #[test]
    fn nothing_in_common_is_said_so() {
        let mut claims = [Claim::default(); PARTITIONS];
        claims[7] = claim(150, 150);
        let proven = judge(&claims, HashMap::new(), 0).expect("judged");
        assert_eq!(proven.lost, [Lost { partition: 7, common: 0, common_event_id: String::new() }]);
    }

    #[test]
    fn a_cursor_without_ids_is_believed_up_to_the_head() {
        let mut claims = [Claim::default(); PARTITIONS];
        claims[7].position = 50;
        assert_eq!(judge(&claims, log(50), 50).expect("believed").covered[7], 50);
        assert_eq!(judge(&claims, log(49), 49).expect_err("refused").reason(), "CURSOR_PAST_HEAD");
    }
}
