//! What else is done in the shop: bank transfers, sign-ups, the admin's look at
//! things. In the words of the shop, as `people` has them.

use app::rest::{Answer, Rest};
use serde_json::json;

use crate::{
    deployment::eventually,
    people::{Member, Product, same, won},
};

/// An order that is paid by bank transfer, and its payment.
pub(crate) struct Transfer {
    pub(crate) order: String,
    pub(crate) payment: String,
}

/// A refusal with this status for this reason.
#[track_caller]
pub(crate) fn refused(status: u16, reason: &str, answer: &Answer) {
    let seen = (answer.status.as_u16(), answer.text("reason"));
    assert_eq!(seen, (status, reason.to_owned()), "{answer}");
}

/// The seller has seen this much arrive.
pub(crate) async fn confirm(seller: &Rest, payment: &str, amount: i64) -> Answer {
    let body = json!({ "amount": won(amount), "depositorName": "Somebody Else" });
    let path = format!("/v1/payments/{payment}:confirmDeposit");
    seller.post(&path, body).await.expect("an answer")
}

impl Member {
    /// Orders by bank transfer, until payment knows of it.
    pub(crate) async fn transfer(&self, product: &Product, quantity: i64) -> Transfer {
        let order = self.order_by_transfer(product, quantity).await;
        let payment = eventually("a payment of the order", async || {
            let answer = self.get(&format!("/v1/payments?orderId={order}")).await;
            let id = answer.text("payments/0/id");
            if id.is_empty() { Err(answer.to_string()) } else { Ok(id) }
        })
        .await;
        Transfer { order, payment }
    }

    /// Why an order was cancelled.
    pub(crate) async fn cancel_reason(&self, order: &str) -> String {
        self.get(&format!("/v1/orders/{order}")).await.text("cancelReason")
    }

    /// The state of an order's payment on My Page.
    pub(crate) async fn eventually_sees_payment(&self, order: &str, state: &str) {
        let path = format!("/v1/mypage/{}/orders/{order}", self.id);
        eventually(&format!("My Page with the payment {state}"), async || {
            same(self.get(&path).await.text("paymentState"), state.to_owned())
        })
        .await;
    }

    /// My Page shows these milestones, in this order, and no other.
    pub(crate) async fn eventually_passed(&self, order: &str, labels: &[&str]) {
        let labels: Vec<_> = labels.iter().map(ToString::to_string).collect();
        eventually(&format!("My Page with {labels:?}"), async || {
            same(self.history(order).await, labels.clone())
        })
        .await;
    }

    pub(crate) async fn eventually_pays(&self, order: &str, state: &str) {
        eventually(&format!("one payment, {state}"), async || {
            same(self.payments(order).await, vec![state.to_owned()])
        })
        .await;
    }
}
