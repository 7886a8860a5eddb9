//! My Page equals what its sources say: each order's state and history as its own
//! events have them, its payment and delivery as these services do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Finding, sources::Sources};

/// What order has told of each order. One that nobody was told of is on no page.
const TOLD: &str = "
    select o.id, o.member_id, coalesce(o.cancel_reason, '') as cancel_reason,
      array_agg(e.type order by e.aggregate_version) as passed
    from orders o join event e on e.aggregate_id = o.id
    group by o.id";

const PAGES: &str = "
    select v.order_id, v.member_id, v.state, v.cancel_reason, v.payment_state, v.delivery_state,
      array_remove(array_agg(m.state order by m.version), null) as passed
    from order_view v left join milestone m using (order_id)
    where v.state is not null
    group by v.order_id";

/// Tombstones are not shown.
const PAYMENTS: &str = "select order_id, state from payment where state not in ('NEW', 'REFUSED')";
const DELIVERIES: &str =
    "select order_id, state from delivery where state not in ('NEW', 'REFUSED')";

/// An order on a page.
#[derive(Debug, PartialEq, Eq)]
struct Page {
    member: Uuid,
    state: String,
    cancel_reason: String,
    payment: String,
    delivery: String,
    passed: Vec<String>,
}

type Pages = BTreeMap<Uuid, Page>;

pub(super) async fn check(sources: &Sources) -> Result<Vec<Finding>> {
    let said = said(sources).await?;
    let shown: Pages = sources.rows("mypage", PAGES).await?.iter().map(shown).collect();
    let orders: BTreeSet<&Uuid> = said.keys().chain(shown.keys()).collect();
    let offences = orders.into_iter().filter_map(|order| {
        difference(said.get(order), shown.get(order))
            .map(|difference| format!("order {order}: {difference}"))
    });
    Ok(vec![Finding {
        invariant: "My Page shows each order as order, payment and delivery say",
        offences: offences.collect(),
    }])
}

/// The pages as the sources would write them.
async fn said(sources: &Sources) -> Result<Pages> {
    let states = async |service, sql| -> Result<BTreeMap<Uuid, String>> {
        Ok(sources.rows(service, sql).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    };
    let mut payments = states("payment", PAYMENTS).await?;
    let mut deliveries = states("delivery", DELIVERIES).await?;
    let mut pages = Pages::new();
    for row in sources.rows("order", TOLD).await? {
        let order: Uuid = row.get("id");
        let passed: Vec<String> = row.get::<_, Vec<String>>("passed");
        let passed: Vec<String> = passed.iter().map(|kind| state(kind)).collect();
        let page = Page {
            member: row.get("member_id"),
            state: passed.last().cloned().unwrap_or_default(),
            cancel_reason: row.get("cancel_reason"),
            payment: payments.remove(&order).unwrap_or_default(),
            delivery: deliveries.remove(&order).unwrap_or_default(),
            passed,
        };
        pages.insert(order, page);
    }
    Ok(pages)
}

fn shown(row: &Row) -> (Uuid, Page) {
    let page = Page {
        member: row.get("member_id"),
        state: row.get("state"),
        cancel_reason: row.get("cancel_reason"),
        payment: row.get("payment_state"),
        delivery: row.get("delivery_state"),
        passed: row.get("passed"),
    };
    (row.get("order_id"), page)
}

/// The state that an event tells of: `OrderAwaitingDeposit` is `AWAITING_DEPOSIT`.
fn state(kind: &str) -> String {
    let mut state = String::with_capacity(kind.len() + 2);
    for letter in kind.trim_start_matches("Order").chars() {
        if letter.is_ascii_uppercase() && !state.is_empty() {
            state.push('_');
        }
        state.push(letter.to_ascii_uppercase());
    }
    state
}

fn difference(said: Option<&Page>, shown: Option<&Page>) -> Option<String> {
    match (said, shown) {
        (None, None) => None,
        (None, Some(_)) => Some("shown, and unknown to order".to_owned()),
        (Some(_), None) => Some("not shown".to_owned()),
        (Some(said), Some(shown)) if said == shown => None,
        (Some(said), Some(shown)) => {
            let fields = [
                ("state", &said.state, &shown.state),
                ("reason", &said.cancel_reason, &shown.cancel_reason),
                ("payment", &said.payment, &shown.payment),
                ("delivery", &said.delivery, &shown.delivery),
            ];
            let field = fields.into_iter().find(|(_, said, shown)| said != shown);
            Some(field.map_or_else(
                || format!("history {:?} instead of {:?}", shown.passed, said.passed),
                |(what, said, shown)| format!("{what} {shown:?} instead of {said:?}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_of_a_state() {
        assert_eq!(state("OrderPlaced"), "PLACED");
        assert_eq!(state("OrderAwaitingDeposit"), "AWAITING_DEPOSIT");
    }
}
