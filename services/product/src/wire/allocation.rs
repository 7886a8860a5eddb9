//! What an order took, in events.

use contracts::product::v1::{StockDecreased, StockRestored, StockShort, product_event::Event};

use super::lines;
use crate::domain::{MemberId, OrderId, Outcome};

/// The event of an outcome; none where others would not want to know.
pub(crate) fn event(order: OrderId, member: MemberId, outcome: &Outcome) -> Option<Event> {
    let (order_id, member_id) = (order.to_string(), member.to_string());
    Some(match outcome {
        Outcome::Decreased(taken) => {
            Event::StockDecreased(StockDecreased { order_id, member_id, lines: lines(taken) })
        }
        Outcome::Short { missing } => {
            Event::StockShort(StockShort { order_id, member_id, missing: lines(missing) })
        }
        Outcome::TakenBack(back) | Outcome::Restored(back) => {
            Event::StockRestored(StockRestored { order_id, member_id, lines: lines(back) })
        }
        Outcome::Quiet => return None,
    })
}
