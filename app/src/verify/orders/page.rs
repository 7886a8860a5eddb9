//! An order as My Page shows it, and as it should.

use uuid::Uuid;

use super::whole::{Delivery, Order, Payment};

/// An order on a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) member: Uuid,
    pub(super) state: String,
    pub(super) cancel_reason: String,
    pub(super) payment: String,
    pub(super) delivery: String,
    /// The milestones, with commas between.
    pub(super) passed: String,
}

impl Page {
    /// The page as the sources would write it; none for an order that nobody was told of.
    pub(super) fn of(
        order: &Order,
        payment: Option<&Payment>,
        delivery: Option<&Delivery>,
    ) -> Option<Self> {
        if order.log.is_empty() {
            return None;
        }
        let passed: Vec<_> = order.log.split(',').filter_map(milestone).collect();
        let payment = payment.and_then(|payment| payment.milestones().pop());
        // Tombstones are not shown.
        let delivery = delivery.filter(|delivery| !matches!(&*delivery.state, "NEW" | "REFUSED"));
        Some(Self {
            member: order.member,
            state: passed.last().copied().unwrap_or_default().to_owned(),
            cancel_reason: order.cancel_reason.clone(),
            payment: payment.map(payment_state).unwrap_or_default().to_owned(),
            delivery: delivery.map(|delivery| delivery.state.clone()).unwrap_or_default(),
            passed: passed.join(","),
        })
    }

    /// What is not as it should be, if anything.
    pub(super) fn differs(said: Option<&Self>, shown: Option<&Self>) -> Option<String> {
        match (said, shown) {
            (None, None) => None,
            (None, Some(_)) => Some("is shown, and unknown to order".to_owned()),
            (Some(_), None) => Some("is not shown".to_owned()),
            (Some(said), Some(shown)) => {
                let member = (said.member.to_string(), shown.member.to_string());
                let fields = [
                    ("state", &said.state, &shown.state),
                    ("reason", &said.cancel_reason, &shown.cancel_reason),
                    ("payment", &said.payment, &shown.payment),
                    ("delivery", &said.delivery, &shown.delivery),
                    ("history", &said.passed, &shown.passed),
                    ("member", &member.0, &member.1),
                ];
                let field = fields.into_iter().find(|(_, said, shown)| said != shown);
                field.map(|(what, said, shown)| {
                    format!("is shown with {what} {shown:?}, not {said:?}")
                })
            }
        }
    }
}

/// The milestone that an order's event tells of; parts that are taken back are none.
pub(super) fn milestone(event: &str) -> Option<&str> {
    Some(match event {
        "OrderPlaced" => "PLACED",
        "OrderAwaitingDeposit" => "AWAITING_DEPOSIT",
        "OrderPaid" => "PAID",
        "OrderPrepared" => "PREPARED",
        "OrderDelivering" => "DELIVERING",
        "OrderDelivered" => "DELIVERED",
        "OrderClosed" => "CLOSED",
        "OrderCancelled" => "CANCELLED",
        "OrderLinesCancelled" | "ReturnRequested" | "ReturnAccepted" | "ReturnRejected" => {
            return None;
        }
        other => other,
    })
}

/// The state that a payment's event tells of.
fn payment_state(event: &str) -> &str {
    match event {
        "DepositRequested" => "WAITING_FOR_DEPOSIT",
        "DepositExpired" => "EXPIRED",
        "PaymentApproved" => "DONE",
        "PaymentDeclined" => "DECLINED",
        "PaymentCancelled" => "CANCELLED",
        other => other,
    }
}
