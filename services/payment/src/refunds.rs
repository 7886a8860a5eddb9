//! The calls about refunds: found without their payments, and ended by hand where the acquirer refuses
//! them.

use base::Error;
use contracts::{
    order::v1::PaymentMethod,
    payment::v1::{
        self as pb, GetRefundRequest, ListRefundsRequest, ListRefundsResponse, RetryRefundRequest,
        SettleRefundRequest, refund_service_server::RefundService,
    },
};
use pg::{Database, Tx, idempotency};
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        MemberId,
        refund::RefundId,
        wallet::{Note, REASON},
    },
    store, wire,
};

/// Answers calls about refunds.
pub(crate) struct Refunds {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl RefundService for Refunds {
    async fn get_refund(
        &self,
        request: Request<GetRefundRequest>,
    ) -> Result<Response<pb::Refund>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = RefundId::parse("refundId", &incoming.message.refund_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(wire::refund::whole(&store::refund(&mut reader, id).await?)))
    }

    async fn list_refunds(
        &self,
        request: Request<ListRefundsRequest>,
    ) -> Result<Response<ListRefundsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let member = MemberId::optional("memberId", &message.member_id)?;
        let state = match pb::refund::State::try_from(message.state) {
            Ok(pb::refund::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of refunds").into()),
        };
        let mut reader = self.database.read().await?;
        let refunds = store::list_refunds(&mut reader, member, state, page).await?;
        let refunds =
            refunds.iter().map(|stored| (stored.refund.id.0, wire::refund::whole(stored)));
        let (refunds, next_page_token) = page.cut(refunds);
        Ok(Response::new(ListRefundsResponse { refunds, next_page_token }))
    }

    async fn retry_refund(
        &self,
        request: Request<RetryRefundRequest>,
    ) -> Result<Response<pb::Refund>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = RefundId::parse("refundId", &incoming.message.refund_id)?;
        let actor = incoming.member()?;
        let retry =
            async |tx: &mut Tx| Ok(wire::refund::whole(&store::retry_refund(tx, id, actor).await?));
        Ok(idempotency::once(&self.database, &incoming.command(), id.0, retry).await?.into())
    }

    async fn settle_refund(
        &self,
        request: Request<SettleRefundRequest>,
    ) -> Result<Response<pb::Refund>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let id = RefundId::parse("refundId", &message.refund_id)?;
        let tender = PaymentMethod::try_from(message.tender)
            .ok()
            .and_then(|tender| wire::method_from(tender).ok());
        let tender = tender.ok_or_else(|| {
            Error::violation(
                "tender",
                "must be CARD, BANK_TRANSFER or WALLET: how it is given back",
            )
        })?;
        let reason = REASON.parse("reason", &message.reason)?.to_owned();
        let by = Note { reason, actor: incoming.member()? };
        let settle = async |tx: &mut Tx| {
            Ok(wire::refund::whole(&store::settle_refund(tx, id, tender, by).await?))
        };
        Ok(idempotency::once(&self.database, &incoming.command(), id.0, settle).await?.into())
    }
}
