//! Payment, as far as the money console asks it.

use contracts::{
    Money,
    payment::v1::{
        ListDepositsRequest, ListDepositsResponse, ListRefundsRequest, ListRefundsResponse, Refund,
        RetryRefundRequest, SettleRefundRequest, deposit_service_server::DepositService, refund,
        refund_service_server::RefundService,
    },
};
use tonic::{Response, Status};

use super::Shop;

/// The refund that failed.
pub(crate) const REFUND: &str = "0198aaaa-0000-7000-8000-000000000001";

#[tonic::async_trait]
impl DepositService for Shop {
    async fn list_deposits(
        &self,
        _: tonic::Request<ListDepositsRequest>,
    ) -> Result<Response<ListDepositsResponse>, Status> {
        Ok(Response::new(ListDepositsResponse::default()))
    }
}

#[tonic::async_trait]
impl RefundService for Shop {
    async fn list_refunds(
        &self,
        request: tonic::Request<ListRefundsRequest>,
    ) -> Result<Response<ListRefundsResponse>, Status> {
        assert_eq!(request.get_ref().state(), refund::State::Failed);
        let refund = Refund {
            id: REFUND.to_owned(),
            amount: Some(Money::from(("KRW", 12_900))),
            state: refund::State::Failed.into(),
            order_id: "1".to_owned(),
            failure: self.name.clone(),
            ..Refund::default()
        };
        Ok(Response::new(ListRefundsResponse { refunds: vec![refund], ..Default::default() }))
    }

    async fn retry_refund(
        &self,
        request: tonic::Request<RetryRefundRequest>,
    ) -> Result<Response<Refund>, Status> {
        self.called("RetryRefund", request.metadata());
        Ok(Response::new(Refund::default()))
    }

    async fn settle_refund(
        &self,
        request: tonic::Request<SettleRefundRequest>,
    ) -> Result<Response<Refund>, Status> {
        let SettleRefundRequest { reason, tender, .. } = request.get_ref();
        if reason.is_empty() {
            return Err(base::Error::violation("reason", "must have 1 to 200 characters").into());
        }
        self.calls.lock().expect("no panic").push(("SettleRefund", format!("{tender} {reason}")));
        Ok(Response::new(Refund::default()))
    }
}
