//! What is under way, and may be so for a minute: tasks that are due, states between
//! the two commits of a call to another service, commands without an answer.

use anyhow::Result;

use super::{
    findings::{About, Rule, Suspicions},
    sources::Sources,
};

pub(super) const RULES: &[Rule] = &[OVERDUE, UNANSWERED];

const OVERDUE: Rule = "no task is overdue, and nothing is left half done";
const UNANSWERED: Rule = "no idempotency key has waited for its answer for more than a minute";

/// Tasks that are due, under way (20 s is the worker's lease), or failing: whatever is not merely
/// waiting for its time. One that is about nothing looks around every minute, and is due again as soon as
/// nobody does: only that it fails is wrong.
const TASKS: &str = "
    select kind, key::text, due_at <= clock_now() - interval '60 seconds' as overdue from task
    where last_error is not null or (key <> '00000000-0000-0000-0000-000000000000'
      and (due_at <= clock_now()
        or (attempts > 0 and due_at <= clock_now() + interval '20 seconds')))
    order by due_at limit 10000";

/// States between two commits, by service.
const HALF_DONE: &[(&str, &str, &str)] = &[
    ("member", "member", "select id, state from member where state = 'WITHDRAWING' order by id"),
    (
        "order",
        "order",
        "select id, state from orders where state in ('PENDING', 'ABORTING', 'CANCELLING')
         order by id",
    ),
    (
        "payment",
        "payment",
        "select id, state from payment where state in ('NEW', 'AUTHORISING', 'CONFIRMING')
         order by id",
    ),
];

const KEYS: &str = "
    select method, resource_id::text from idempotency
    where response is null and create_time < now() - interval '60 seconds'
    order by create_time";

/// What is so whatever else is on its way.
pub(super) async fn check_keys(sources: &Sources, found: &mut Suspicions) -> Result<()> {
    for service in sources.services() {
        for row in sources.rows(service, KEYS, &[]).await? {
            let (method, resource): (&str, &str) = (row.get(0), row.get(1));
            let offence = format!("{service} has not answered {method} for {resource}");
            found.certain(UNANSWERED, offence);
        }
    }
    Ok(())
}

pub(super) async fn check(sources: &Sources, found: &mut Suspicions) -> Result<()> {
    for service in sources.services() {
        for row in sources.rows(service, TASKS, &[]).await? {
            let (kind, key): (&str, &str) = (row.get(0), row.get(1));
            let about = About::Other(format!("{kind} of {key}"));
            let state = format!("is still to be done by {service}");
            if row.get("overdue") {
                found.suspect(OVERDUE, about, state);
            } else {
                found.under_way(OVERDUE, about, state);
            }
        }
    }
    for (service, kind, sql) in HALF_DONE {
        for row in sources.rows(service, sql, &[]).await? {
            let state = format!("is {}", row.get::<_, &str>(1));
            // Found again by its state, not by its id.
            let about = About::Other(format!("{kind} {}", row.get::<_, uuid::Uuid>(0)));
            found.under_way(OVERDUE, about, state);
        }
    }
    Ok(())
}
