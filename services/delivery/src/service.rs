//! The delivery service's calls: parse, call, render.

use std::mem;

use contracts::delivery::v1::{
    self as pb, GetDeliveryRequest, ListDeliveriesRequest, ListDeliveriesResponse,
    delivery_service_server::DeliveryService,
};
use pg::Database;
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{DeliveryId, OrderId, State},
    store::{self, Delivery},
};

/// Answers calls about deliveries.
pub(crate) struct Deliveries {
    database: Database,
}

impl Deliveries {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }
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
        Ok(Response::new(render(&delivery)))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page =
            incoming.page(|m| (mem::take(&mut m.page_size), mem::take(&mut m.page_token)))?;
        let order = (!message.order_id.is_empty())
            .then(|| OrderId::parse("orderId", &message.order_id))
            .transpose()?;
        let mut reader = self.database.read().await?;
        let deliveries = store::list(&mut reader, incoming.scope.owner(), order, page).await?;
        let deliveries = deliveries.iter().map(|delivery| (delivery.id.0, render(delivery)));
        let (deliveries, next_page_token) = page.cut(deliveries);
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }
}

fn render(delivery: &Delivery) -> pb::Delivery {
    let state = match delivery.state {
        // Never seen: the first is not stored, the second not shown.
        State::New | State::Refused => pb::delivery::State::Unspecified,
        State::Started => pb::delivery::State::Started,
        State::Completed => pb::delivery::State::Completed,
        State::Cancelled => pb::delivery::State::Cancelled,
    };
    pb::Delivery {
        id: delivery.id.to_string(),
        order_id: delivery.order.to_string(),
        member_id: delivery.member.to_string(),
        state: state.into(),
        create_time: Some(delivery.create_time.into()),
    }
}
