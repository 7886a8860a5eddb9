//! Tells mileage of a payment that is DONE, so that its points are there when the
//! call returns. A courtesy: when mileage is away or slow it follows from
//! `PaymentApproved`.

use std::time::Duration;

use contracts::{
    mileage::v1::{EarnRequest, mileage_service::EARN},
    payment::v1::Payment,
};
use rpc::Peer;

use crate::domain::MemberId;

/// Nobody waits longer for a courtesy.
const DEADLINE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Mileage(Peer);

impl Mileage {
    pub(crate) fn new(peer: Peer) -> Self {
        Self(peer)
    }

    /// Has the points earned, if that can be done right now.
    pub(crate) async fn earn(&self, member: MemberId, payment: &Payment) {
        let request = EarnRequest {
            payment_id: payment.id.clone(),
            order_id: payment.order_id.clone(),
            member_id: payment.member_id.clone(),
            amount: payment.amount.clone(),
        };
        let earned = self.0.on_behalf_of(member.0).unary(EARN, &request, DEADLINE).await;
        if let Err(failure) = earned {
            tracing::debug!(%failure, payment = %payment.id, "mileage not earned now, it follows from PaymentApproved");
        }
    }
}
