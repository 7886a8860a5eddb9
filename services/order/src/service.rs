//! The order service's calls: parse, call, render.

use std::collections::BTreeMap;

use base::{Error, Money, error::Violation, input};
use contracts::order::v1::{
    self as pb, AskWithdrawalRequest, AskWithdrawalResponse, CancelLinesRequest,
    CancelOrderRequest, ConfirmReceiptRequest, GetOrderRequest, ListOrdersRequest,
    ListOrdersResponse, PlaceOrderRequest, RecordDispatchRequest, RecordDispatchResponse,
    order_service_server::OrderService,
};
use pg::{Database, Tx, idempotency};
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    address::{self, Addresses, Destination},
    cancel::Cancel,
    catalogue::Catalogue,
    checkout::{Besides, Checkouts},
    closing, depositor,
    domain::{
        self, CARD_TOKEN, DEPOSITOR, Facts, Line, MemberId, Method, Order, OrderId, Pending,
        ProductId, Refusal, TOTAL, Wish,
        checkout::{Checkout, POINTS},
        parts::Parts,
    },
    parts::Takings,
    store::{self, Offer},
    wire::{self, Wanted},
};

/// Answers calls about orders.
pub(crate) struct Orders {
    pub(crate) database: Database,
    pub(crate) catalogue: Catalogue,
    pub(crate) addresses: Addresses,
    pub(crate) cancel: Cancel,
    pub(crate) checkouts: Checkouts,
    pub(crate) takings: Takings,
}

impl Orders {
    /// What a request asks for, and where it goes.
    async fn asked_for(
        &self,
        incoming: &Incoming<PlaceOrderRequest>,
    ) -> Result<(Order, Option<Destination>), Error> {
        let order = self.new_order(incoming).await?;
        let destination = self.addresses.find(order.member, &incoming.message.address_id).await?;
        Ok((order, destination))
    }

    /// What a request asks for, at the catalogue's prices, under a fresh id.
    async fn new_order(&self, incoming: &Incoming<PlaceOrderRequest>) -> Result<Order, Error> {
        let member = MemberId(incoming.member()?);
        let message = &incoming.message;
        let method = method(message.payment_method())?;
        let expected = message.expected_total.as_ref().map(contracts::Money::parts);
        let expected = expected
            .map(|parts| Money::parse_within("expectedTotal", Some(parts), &TOTAL))
            .transpose()?;
        let wanted =
            wire::wanted(message.lines.iter().map(|it| (it.product_id.as_str(), it.quantity)))?;
        let checkout = checkout(message)?;
        if store::has_withdrawn(&mut self.database.read().await?, member).await? {
            return Err(Refusal::MemberWithdrawn.into());
        }
        let products: Vec<ProductId> = wanted.iter().map(|(product, ..)| *product).collect();
        let offers = self.catalogue.offers(&products).await?;
        let lines = priced(&wanted, &offers)?;
        let total = domain::total(&lines)?;
        if expected.is_some_and(|expected| expected != total) {
            return Err(Refusal::PriceChanged.into());
        }
        let reserves = checkout.reserves();
        // What a coupon takes off is not known yet: with none there is as much left to pay.
        let shared = checkout.clone().with_discount(Money::ZERO, &lines)?;
        let checkout = if reserves { checkout } else { shared };
        let pending = (method == Method::Card || reserves).then_some(Pending::Pending);
        let facts = Facts { pending, ..Facts::default() };
        let id = OrderId(base::id::new());
        let (told, wish) = (facts.state(), Wish::default());
        let (payment, parts) = (None, Parts::default());
        Ok(Order { id, member, method, lines, total, checkout, payment, facts, wish, told, parts })
    }
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn place_order(
        &self,
        request: Request<PlaceOrderRequest>,
    ) -> Result<Response<pb::Order>, Status> {
        let incoming = Incoming::granted(request)?;
        let command = incoming.command();
        let card_token = card_token(&incoming.message)?;
        let depositor = DEPOSITOR.parse("depositorName", &incoming.message.depositor_name)?;
        let depositor = depositor.to_owned();
        let reply = match self.asked_for(&incoming).await {
            Ok((order, destination)) if order.facts.pending.is_some() => {
                let checkouts = self.checkouts.clone();
                let besides = Besides { card_token, depositor, destination };
                to_the_end(async move { checkouts.place(order, besides, &command).await }).await
            }
            Ok((order, destination)) => {
                let id = order.id;
                idempotency::once(&self.database, &command, id.0, async |tx| {
                    let stored = store::insert(tx, order).await?;
                    if !depositor.is_empty() {
                        depositor::declare(tx, id, &depositor).await?;
                    }
                    if let Some(destination) = &destination {
                        address::declare(tx, id, destination).await?;
                    }
                    Ok(wire::order(&stored))
                })
                .await
            }
            Err(refusal) => idempotency::refuse(&self.database, &command, refusal).await,
        };
        Ok(reply?.created(|order| format!("/v1/orders/{}", order.id))?)
    }

    async fn get_order(
        &self,
        request: Request<GetOrderRequest>,
    ) -> Result<Response<pb::Order>, Status> {
        let incoming = Incoming::scoped(request)?;
        let id = OrderId::parse("orderId", &incoming.message.order_id)?;
        let mut reader = self.database.read().await?;
        let stored = store::get(&mut reader, id, incoming.scope.owner()).await?;
        Ok(Response::new(wire::order(&stored)))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let state = match pb::order::State::try_from(message.state) {
            Ok(pb::order::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of orders").into()),
        };
        let mut reader = self.database.read().await?;
        let orders = store::list(&mut reader, incoming.scope.owner(), state, page).await?;
        let orders = orders.iter().map(|stored| (stored.order.id.0, wire::order(stored)));
        let (orders, next_page_token) = page.cut(orders);
        Ok(Response::new(ListOrdersResponse { orders, next_page_token }))
    }

    async fn cancel_order(
        &self,
        request: Request<CancelOrderRequest>,
    ) -> Result<Response<pb::Order>, Status> {
        let incoming = Incoming::scoped(request)?;
        let cancel = self.cancel.clone();
        Ok(to_the_end(async move { cancel.run(incoming).await }).await?.into())
    }

    async fn cancel_lines(
        &self,
        request: Request<CancelLinesRequest>,
    ) -> Result<Response<pb::Order>, Status> {
        let incoming = Incoming::scoped(request)?;
        let takings = self.takings.clone();
        Ok(to_the_end(async move { takings.cancel_lines(incoming).await }).await?.into())
    }

    async fn ask_withdrawal(
        &self,
        request: Request<AskWithdrawalRequest>,
    ) -> Result<Response<AskWithdrawalResponse>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        if store::has_open(&mut reader, MemberId(member)).await? {
            return Err(Error::from(Refusal::OpenOrders).into());
        }
        Ok(Response::new(AskWithdrawalResponse {}))
    }

    async fn record_dispatch(
        &self,
        request: Request<RecordDispatchRequest>,
    ) -> Result<Response<RecordDispatchResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let id = OrderId::parse("orderId", &incoming.message.order_id)?;
        let mut tx = self.database.begin().await?;
        store::update(&mut tx, id, Some(member), |_, order| Ok(((), order.record_dispatch()?)))
            .await?;
        tx.commit().await?;
        Ok(Response::new(RecordDispatchResponse {}))
    }

    async fn confirm_receipt(
        &self,
        request: Request<ConfirmReceiptRequest>,
    ) -> Result<Response<pb::Order>, Status> {
        let incoming = Incoming::scoped(request)?;
        let id = OrderId::parse("orderId", &incoming.message.order_id)?;
        let confirm = async |tx: &mut Tx| {
            let ((), stored) = store::update(tx, id, incoming.scope.owner(), |stored, order| {
                incoming.check_etag(&wire::etag(stored))?;
                Ok(((), order.confirm_receipt()?))
            })
            .await?;
            closing::forget(tx, id).await?;
            Ok(wire::order(&stored))
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, confirm).await?.into())
    }
}

fn method(method: pb::PaymentMethod) -> Result<Method, Error> {
    match method {
        pb::PaymentMethod::Card => Ok(Method::Card),
        pb::PaymentMethod::Wallet => Ok(Method::Wallet),
        pb::PaymentMethod::BankTransfer => Ok(Method::BankTransfer),
        pb::PaymentMethod::Unspecified => Err(Error::violation("paymentMethod", "is required")),
    }
}

/// What the card is known by; needed for CARD, and checked whenever it is there.
fn card_token(message: &PlaceOrderRequest) -> Result<String, Error> {
    if message.card_token.is_empty() && message.payment_method() != pb::PaymentMethod::Card {
        return Ok(String::new());
    }
    CARD_TOKEN.parse("cardToken", &message.card_token).map(str::to_owned)
}

/// What the member wants to pay with beside the method.
fn checkout(message: &PlaceOrderRequest) -> Result<Checkout, Error> {
    let coupon = Some(message.coupon_id.as_str()).filter(|id| !id.is_empty());
    let wallet = message.wallet_amount.as_ref().map(contracts::Money::parts);
    let wallet =
        wallet.map(|parts| Money::parse_within("walletAmount", Some(parts), &TOTAL)).transpose()?;
    Ok(Checkout {
        coupon: coupon.map(|id| base::id::parse("couponId", id)).transpose()?,
        points: input::number("points", message.points, &POINTS)?,
        wallet: wallet.unwrap_or(Money::ZERO).minor(),
        ..Checkout::default()
    })
}

fn priced(wanted: &[Wanted], offers: &BTreeMap<ProductId, Offer>) -> Result<Vec<Line>, Error> {
    let (mut lines, mut unknown) = (Vec::new(), Vec::new());
    for (product, quantity, index) in wanted {
        match offers.get(product) {
            Some(offer) if !offer.on_sale => return Err(Refusal::NotOnSale.into()),
            Some(offer) => lines.push(Line {
                product: *product,
                display_name: offer.display_name.clone(),
                quantity: *quantity,
                unit_price: offer.price,
            }),
            None => unknown.push(Violation {
                field: format!("lines[{index}].productId"),
                description: "there is no such product".into(),
            }),
        }
    }
    if unknown.is_empty() { Ok(lines) } else { Err(Error::violations(unknown)) }
}
