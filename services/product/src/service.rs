//! The product service's calls: parse, call, render.

use base::{Error, error::not_found, input};
use contracts::product::v1::{
    self as pb, AdjustStockRequest, BatchGetProductsRequest, BatchGetProductsResponse,
    DecreaseStockRequest, DecreaseStockResponse, GetProductRequest, ListProductsRequest,
    ListProductsResponse, RegisterProductRequest, RestockProductRequest, UpdateProductRequest,
    product_service_server::ProductService,
};
use identity::auth::{Caller, Role};
use pg::{Database, Tx, idempotency};
use server::Incoming;
use tonic::{Request, Response, Status};

use crate::{
    domain::{
        self, DELTA, DESCRIPTION, DisplayName, LINES, Line, MemberId, OrderId, Picture, ProductId,
        QUERY, Quantity, REASON, State, Units,
    },
    store::{self, Fact, Learned},
    wire,
};

/// Answers calls about products.
pub(crate) struct Products {
    pub(crate) database: Database,
}

#[tonic::async_trait]
impl ProductService for Products {
    async fn register_product(
        &self,
        request: Request<RegisterProductRequest>,
    ) -> Result<Response<pb::Product>, Status> {
        let incoming = Incoming::granted(request)?;
        let name = DisplayName::parse(&incoming.message.display_name)?;
        let price = domain::price(incoming.message.price.as_ref().map(contracts::Money::parts))?;
        let stock = incoming.message.stock;
        Units::parse("stock", stock)?;
        let description = DESCRIPTION.parse("description", &incoming.message.description)?;
        let said = (description, Picture::parse(&incoming.message.picture)?);
        let command = incoming.command();
        let id = ProductId(base::id::new());
        let register = async |tx: &mut Tx| {
            Ok(wire::product(&store::register(tx, id, name, price, stock, said).await?))
        };
        let reply = idempotency::once(&self.database, &command, id.0, register).await?;
        Ok(reply.created(|product| format!("/v1/products/{}", product.id))?)
    }

    async fn update_product(
        &self,
        request: Request<UpdateProductRequest>,
    ) -> Result<Response<pb::Product>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let id = ProductId::parse("productId", &message.product_id)?;
        let name = message.display_name.as_deref().map(DisplayName::parse).transpose()?;
        let price = message.price.as_ref().map(|money| domain::price(Some(money.parts())));
        let price = price.transpose()?;
        let sale = message.state.map(wire::sale_from).transpose()?;
        let description = message.description.as_deref();
        let description =
            description.map(|text| DESCRIPTION.parse("description", text)).transpose()?;
        let picture = message.picture.as_deref().map(Picture::parse).transpose()?;
        let command = incoming.command();
        let update = async |tx: &mut Tx| {
            let mut product = store::lock(tx, id).await?;
            incoming.check_etag(&wire::etag(&product))?;
            let before = product.clone();
            if let Some(name) = name {
                product.display_name = name.into_string();
            }
            if let Some(description) = description {
                description.clone_into(&mut product.description);
            }
            if let Some(picture) = picture {
                product.picture = picture.into_string();
            }
            product.price = price.unwrap_or(product.price);
            product.sale = sale.unwrap_or(product.sale);
            if product != before {
                store::update(tx, &mut product).await?;
            }
            Ok(wire::product(&product))
        };
        Ok(idempotency::once(&self.database, &command, id.0, update).await?.into())
    }

    async fn restock_product(
        &self,
        request: Request<RestockProductRequest>,
    ) -> Result<Response<pb::Product>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = ProductId::parse("productId", &incoming.message.product_id)?;
        let quantity = Quantity::parse("quantity", incoming.message.quantity)?;
        let command = incoming.command();
        let restock = async |tx: &mut Tx| {
            let mut product = store::lock(tx, id).await?;
            incoming.check_etag(&wire::etag(&product))?;
            store::restock(tx, &mut product, quantity).await?;
            Ok(wire::product(&product))
        };
        Ok(idempotency::once(&self.database, &command, id.0, restock).await?.into())
    }

    async fn adjust_stock(
        &self,
        request: Request<AdjustStockRequest>,
    ) -> Result<Response<pb::Product>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = ProductId::parse("productId", &incoming.message.product_id)?;
        let delta = input::number("delta", incoming.message.delta, &DELTA)?;
        if delta == 0 {
            return Err(Error::violation("delta", "must not be 0").into());
        }
        let reason = REASON.parse("reason", &incoming.message.reason)?;
        let actor = MemberId(incoming.member()?);
        let command = incoming.command();
        let adjust = async |tx: &mut Tx| {
            let mut product = store::lock(tx, id).await?;
            incoming.check_etag(&wire::etag(&product))?;
            store::adjust(tx, &mut product, delta, (reason, actor)).await?;
            Ok(wire::product(&product))
        };
        Ok(idempotency::once(&self.database, &command, id.0, adjust).await?.into())
    }

    async fn get_product(
        &self,
        request: Request<GetProductRequest>,
    ) -> Result<Response<pb::Product>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = ProductId::parse("productId", &incoming.message.product_id)?;
        let mut reader = self.database.read().await?;
        let found = store::get(&mut reader, &[id.0]).await?;
        Ok(Response::new(found.first().map(wire::product).ok_or_else(not_found)?))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let page = incoming.page()?;
        let sells = |role: &Role| matches!(role, Role::Seller | Role::Admin);
        let all = matches!(&incoming.caller,
            Caller::Member { roles, .. } if roles.iter().any(sells));
        let query = QUERY.parse("query", &incoming.message.query)?;
        let words: Vec<&str> = query.split_whitespace().collect();
        let mut reader = self.database.read().await?;
        let (products, seen) = if words.is_empty() {
            (store::list(&mut reader, page, all).await?, None)
        } else {
            store::search(&mut reader, page, all, &words).await?
        };
        let products = products.iter().map(|product| (product.id.0, wire::product(product)));
        let (products, next_page_token) = page.cut_short(products, seen);
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }

    async fn batch_get_products(
        &self,
        request: Request<BatchGetProductsRequest>,
    ) -> Result<Response<BatchGetProductsResponse>, Status> {
        let message = Incoming::granted(request)?.message;
        input::count("productIds", message.product_ids.len(), &LINES)?;
        let parse = |(at, id): (usize, &String)| base::id::parse(&format!("productIds[{at}]"), id);
        let ids =
            message.product_ids.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut reader = self.database.read().await?;
        let products = store::get(&mut reader, &ids).await?.iter().map(wire::product).collect();
        Ok(Response::new(BatchGetProductsResponse { products }))
    }

    async fn decrease_stock(
        &self,
        request: Request<DecreaseStockRequest>,
    ) -> Result<Response<DecreaseStockResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let (message, member) = (incoming.message, MemberId(member));
        let order = OrderId::parse("orderId", &message.order_id)?;
        input::count("lines", message.lines.len(), &LINES)?;
        let lines = message.lines.iter().enumerate().map(line).collect::<Result<_, _>>()?;
        let lines = domain::merge(lines)?;
        let mut tx = self.database.begin().await?;
        let learned = Learned { order, member, fact: Fact::Paid(lines), cause: None };
        let states = store::learn(&mut tx, &[learned]).await?;
        // Short is decided too: whoever asks again gets the same answer.
        tx.commit().await?;
        let state = states.get(&order).copied().unwrap_or(State::New);
        state.has_goods().map_err(Error::from)?;
        Ok(Response::new(DecreaseStockResponse {}))
    }
}

fn line((at, line): (usize, &pb::Line)) -> Result<Line, Error> {
    let product = ProductId::parse(&format!("lines[{at}].productId"), &line.product_id)?;
    let quantity = Quantity::parse(&format!("lines[{at}].quantity"), line.quantity)?;
    Ok(Line { product, quantity })
}
