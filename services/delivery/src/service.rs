//! The delivery service's calls: parse, call, render.

use base::Error;
use contracts::delivery::v1::{
    self as pb, DeclareAddressRequest, DeclareAddressResponse, DispatchDeliveryRequest,
    GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse, MarkDeliveredRequest,
    delivery_service_server::DeliveryService,
};
use pg::{Database, Tx, clock, idempotency};
use prost::Message as _;
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    dispatch::Dispatch,
    domain::{DeliveryId, MemberId, OrderId},
    store::{self, Filter, address},
    wire,
};

/// Answers calls about deliveries.
pub(crate) struct Deliveries {
    pub(crate) database: Database,
    pub(crate) dispatch: Dispatch,
}

#[tonic::async_trait]
impl DeliveryService for Deliveries {
    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<pb::Delivery>, Status> {
        let incoming = Incoming::scoped(request)?;
        let id = DeliveryId::parse("deliveryId", &incoming.message.delivery_id)?;
        let mut reader = self.database.read().await?;
        let delivery = store::get(&mut reader, id, incoming.scope.owner()).await?;
        Ok(Response::new(wire::delivery(&delivery)?))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let order = OrderId::optional("orderId", &message.order_id)?;
        let state = match pb::delivery::State::try_from(message.state) {
            Ok(pb::delivery::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of deliveries").into()),
        };
        let filter = Filter { owner: incoming.scope.owner(), order, state };
        let mut reader = self.database.read().await?;
        let deliveries = store::list(&mut reader, filter, page).await?;
        let shown = |delivery: &store::Delivery| Ok((delivery.id.0, wire::delivery(delivery)?));
        let deliveries: Vec<_> = deliveries.iter().map(shown).collect::<Result<_, Error>>()?;
        let (deliveries, next_page_token) = page.cut(deliveries);
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn dispatch_delivery(
        &self,
        request: Request<DispatchDeliveryRequest>,
    ) -> Result<Response<pb::Delivery>, Status> {
        let incoming = Incoming::granted(request)?;
        let dispatch = self.dispatch.clone();
        Ok(to_the_end(async move { dispatch.run(incoming).await }).await?.into())
    }

    async fn mark_delivered(
        &self,
        request: Request<MarkDeliveredRequest>,
    ) -> Result<Response<pb::Delivery>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = DeliveryId::parse("deliveryId", &incoming.message.delivery_id)?;
        let deliver = async |tx: &mut Tx| {
            let now = clock::now(tx).await?;
            let ((), delivery) = store::update(tx, id, |delivery| {
                incoming.check_etag(&wire::etag(delivery))?;
                Ok(delivery.deliver(now)?)
            })
            .await?;
            wire::delivery(&delivery)
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, deliver).await?.into())
    }

    async fn declare_address(
        &self,
        request: Request<DeclareAddressRequest>,
    ) -> Result<Response<DeclareAddressResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let declared = incoming.message.address.as_ref();
        let declared = declared.ok_or_else(|| Error::violation("address", "is required"))?;
        let mut tx = self.database.begin().await?;
        address::keep(&mut tx, order, MemberId(member), &declared.encode_to_vec()).await?;
        tx.commit().await?;
        Ok(Response::new(DeclareAddressResponse {}))
    }
}
