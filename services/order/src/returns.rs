//! The calls about returns: parse, call, render.

use base::{Error, input::Text};
use contracts::order::v1::{
    self as pb, AcceptReturnRequest, ListOrderReturnsRequest, ListOrderReturnsResponse,
    ListReturnsRequest, ListReturnsResponse, RejectReturnRequest, RequestReturnRequest,
    return_service_server::ReturnService,
};
use pg::{Database, Tx, idempotency};
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        OrderId, ProductId, Refusal,
        parts::{Kind, PartId},
    },
    parts::Takings,
    store::{
        self,
        parts::{Part, PartState},
    },
    wire::{self, part::Happened},
};

/// Why goods come back, as the member says.
const REASON: Text = Text::new(1, 500);
/// Why they do not, as the shop says.
const REJECT_REASON: Text = Text::new(1, 200);

/// Answers calls about returns.
pub(crate) struct Returns {
    pub(crate) database: Database,
    pub(crate) takings: Takings,
}

#[tonic::async_trait]
impl ReturnService for Returns {
    async fn request_return(
        &self,
        request: Request<RequestReturnRequest>,
    ) -> Result<Response<pb::Return>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let order = OrderId::parse("orderId", &message.order_id)?;
        let wanted = wire::part::wanted(&message.lines)?;
        let reason = REASON.parse("reason", &message.reason)?;
        let id = PartId(base::id::new());
        let ask = async |tx: &mut Tx| {
            let owner = incoming.scope.owner();
            let asked = store::update_telling(tx, order, owner, |stored, order| {
                incoming.check_etag(&wire::etag(stored))?;
                let pieces = wire::part::pieces(order, &wanted)?;
                order.request_return(&pieces, stored.now)?;
                let part = Part {
                    id,
                    order: order.id,
                    member: order.member,
                    kind: Kind::Return,
                    state: PartState::Requested,
                    pieces,
                    reason: reason.to_owned(),
                    actor: None,
                    reject_reason: String::new(),
                    refund_account: None,
                    bears: Vec::new(),
                    create_time: stored.now,
                };
                let event = wire::part::event(order, &part, Happened::Requested);
                Ok((part, vec![event], Vec::new()))
            });
            let (mut part, stored) = asked.await?;
            part.create_time = store::parts::insert(tx, &part).await?;
            Ok(wire::part::returned_of(&stored.order, &part))
        };
        let reply = idempotency::once(&self.database, &incoming.command(), order.0, ask).await?;
        Ok(reply.created(|it| format!("/v1/orders/{}/returns", it.order_id))?)
    }

    async fn list_order_returns(
        &self,
        request: Request<ListOrderReturnsRequest>,
    ) -> Result<Response<ListOrderReturnsResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let mut reader = self.database.read().await?;
        let stored = store::get(&mut reader, order, incoming.scope.owner()).await?;
        let parts = store::parts::of(&mut reader, order).await?;
        let returns = parts.iter().map(|part| wire::part::returned_of(&stored.order, part));
        Ok(Response::new(ListOrderReturnsResponse { returns: returns.collect() }))
    }

    async fn list_returns(
        &self,
        request: Request<ListReturnsRequest>,
    ) -> Result<Response<ListReturnsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let page = incoming.page()?;
        let state = wire::part::stored_state(incoming.message.state)?;
        let returns = store::parts::list(&mut self.database.read().await?, state, page).await?;
        let returns = returns.iter().map(|(part, products)| {
            let products: Vec<ProductId> = products.iter().copied().map(ProductId).collect();
            (part.id.0, wire::part::returned(&products, part))
        });
        let (returns, next_page_token) = page.cut(returns);
        Ok(Response::new(ListReturnsResponse { returns, next_page_token }))
    }

    async fn accept_return(
        &self,
        request: Request<AcceptReturnRequest>,
    ) -> Result<Response<pb::Return>, Status> {
        let incoming = Incoming::granted(request)?;
        let takings = self.takings.clone();
        Ok(to_the_end(async move { takings.accept(incoming).await }).await?.into())
    }

    async fn reject_return(
        &self,
        request: Request<RejectReturnRequest>,
    ) -> Result<Response<pb::Return>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = PartId::parse("returnId", &incoming.message.return_id)?;
        let reason = REJECT_REASON.parse("reason", &incoming.message.reason)?;
        let actor = incoming.member()?;
        let order = store::parts::order_of(&mut self.database.read().await?, id).await?;
        let reject = async |tx: &mut Tx| {
            store::update(tx, order, None, |_, _| Ok(((), Vec::new()))).await?;
            let mut part = store::parts::get(tx, id).await?;
            match part.state {
                PartState::Requested => {}
                PartState::Rejected => return rejected(tx, &part).await,
                PartState::UnderWay | PartState::Done => return Err(Refusal::ReturnAccepted.into()),
                PartState::Cancelled => return Err(Refusal::Cancelled.into()),
            }
            part.state = PartState::Rejected;
            part.actor = Some(actor);
            reason.clone_into(&mut part.reject_reason);
            let told = store::update_telling(tx, order, None, |_, order| {
                order.reject_return(&part.pieces);
                let event = wire::part::event(order, &part, Happened::Rejected);
                Ok(((), vec![event], Vec::new()))
            });
            told.await?;
            store::parts::save(tx, &part).await?;
            rejected(tx, &part).await
        };
        Ok(idempotency::once(&self.database, &incoming.command(), order.0, reject).await?.into())
    }
}

async fn rejected(tx: &mut Tx, part: &Part) -> Result<pb::Return, Error> {
    let ((), stored) = store::update(tx, part.order, None, |_, _| Ok(((), Vec::new()))).await?;
    Ok(wire::part::returned_of(&stored.order, part))
}
