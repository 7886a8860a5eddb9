//! Tells mileage of a payment that is DONE, so that its points are there when the
//! call returns. A courtesy: when mileage is away or slow it follows from
//! `PaymentApproved`.

use std::time::Duration;

use contracts::mileage::v1::{EarnRequest, MileageEntry};
use kit::rpc::{Failure, Peer};

use crate::domain::Payment;

const EARN: &str = "/hansang.mileage.v1.MileageService/Earn";
/// Nobody waits longer for a courtesy.
const DEADLINE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Mileage(Peer);

impl Mileage {
    pub(crate) fn new(peer: Peer) -> Self {
        Self(peer)
    }

    /// Has the points earned, if that can be done right now.
    pub(crate) async fn earn(&self, payment: &Payment) {
        let request = EarnRequest {
            payment_id: payment.id.to_string(),
            order_id: payment.order.to_string(),
            member_id: payment.member.to_string(),
            amount: Some(payment.amount.to_wire().into()),
        };
        let earned: Result<MileageEntry, Failure> =
            self.0.on_behalf_of(payment.member.0).unary(EARN, &request, DEADLINE).await;
        if let Err(failure) = earned {
            tracing::debug!(%failure, payment = %payment.id, "mileage follows later");
        }
    }
}
