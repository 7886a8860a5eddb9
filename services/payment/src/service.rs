//! The payment service's calls: parse, call, render.

use base::{Error, Money, page::Page};
use contracts::payment::v1::{
    self as pb, AuthorizeRequest, CancelPaymentRequest, CancelPaymentResponse,
    ConfirmDepositRequest, GetPaymentRequest, GetWalletRequest, ListPaymentsRequest,
    ListPaymentsResponse, ListWalletEntriesRequest, ListWalletEntriesResponse, TopUpWalletRequest,
    payment_service_server::PaymentService,
};
use pg::{Database, Tx, idempotency};
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    authorise::Authorise,
    confirm::Confirm,
    domain::{MemberId, OrderId, PaymentId, State},
    store::{self, Filter},
    wire,
};

/// Answers calls about payments and wallets.
pub(crate) struct Payments {
    pub(crate) database: Database,
    pub(crate) authorise: Authorise,
    pub(crate) confirm: Confirm,
}

#[tonic::async_trait]
impl PaymentService for Payments {
    async fn get_payment(
        &self,
        request: Request<GetPaymentRequest>,
    ) -> Result<Response<pb::Payment>, Status> {
        let incoming = Incoming::scoped(request)?;
        let id = PaymentId::parse("paymentId", &incoming.message.payment_id)?;
        let mut reader = self.database.read().await?;
        let stored = store::get(&mut reader, id, incoming.scope.owner()).await?;
        Ok(Response::new(wire::payment(&stored)))
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page = Page::parse(message.page_size, &message.page_token)?;
        let order = (!message.order_id.is_empty())
            .then(|| OrderId::parse("orderId", &message.order_id))
            .transpose()?;
        let state = match pb::payment::State::try_from(message.state) {
            Ok(pb::payment::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of payments").into()),
        };
        let filter = Filter { owner: incoming.scope.owner(), order, state };
        let mut reader = self.database.read().await?;
        let payments = store::list(&mut reader, &filter, page).await?;
        let payments = payments.iter().map(|stored| (stored.payment.id.0, wire::payment(stored)));
        let (payments, next_page_token) = page.cut(payments);
        Ok(Response::new(ListPaymentsResponse { payments, next_page_token }))
    }

    async fn authorize(
        &self,
        request: Request<AuthorizeRequest>,
    ) -> Result<Response<pb::Payment>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let authorise = self.authorise.clone();
        let charge = async move { authorise.run(MemberId(member), incoming).await };
        Ok(to_the_end(charge).await?.into())
    }

    async fn confirm_deposit(
        &self,
        request: Request<ConfirmDepositRequest>,
    ) -> Result<Response<pb::Payment>, Status> {
        let incoming = Incoming::granted(request)?;
        let confirm = self.confirm.clone();
        Ok(to_the_end(async move { confirm.run(incoming).await }).await?.into())
    }

    async fn cancel_payment(
        &self,
        request: Request<CancelPaymentRequest>,
    ) -> Result<Response<CancelPaymentResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let member = MemberId(member);
        let mut tx = self.database.begin().await?;
        let ((), stored) = store::update(&mut tx, order, member, |payment, wallets| {
            Ok(((), payment.ask_cancel(wallets)?.into_iter().collect()))
        })
        .await?;
        tx.commit().await?;
        let known = stored.payment.state != State::Refused;
        Ok(Response::new(CancelPaymentResponse { payment: known.then(|| wire::payment(&stored)) }))
    }

    async fn get_wallet(
        &self,
        request: Request<GetWalletRequest>,
    ) -> Result<Response<pb::Wallet>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let mut reader = self.database.read().await?;
        let balance = store::balance(&mut reader, member).await?;
        Ok(Response::new(wire::wallet(member, balance)))
    }

    async fn top_up_wallet(
        &self,
        request: Request<TopUpWalletRequest>,
    ) -> Result<Response<pb::Wallet>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let amount = amount(incoming.message.amount.as_ref())?;
        let command = incoming.command();
        let top_up = async |tx: &mut Tx| {
            let balance = store::top_up(tx, member, amount).await?;
            Ok(wire::wallet(member, balance))
        };
        Ok(idempotency::once(&self.database, &command, member.0, top_up).await?.into())
    }

    async fn list_wallet_entries(
        &self,
        request: Request<ListWalletEntriesRequest>,
    ) -> Result<Response<ListWalletEntriesResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = Page::parse(incoming.message.page_size, &incoming.message.page_token)?;
        let mut reader = self.database.read().await?;
        let entries = store::entries(&mut reader, MemberId(member), page).await?;
        let entries = entries.iter().map(|entry| (entry.id, wire::entry(entry)));
        let (entries, next_page_token) = page.cut(entries);
        Ok(Response::new(ListWalletEntriesResponse { entries, next_page_token }))
    }
}

/// Reads the `amount` of a request.
pub(crate) fn amount(amount: Option<&contracts::Money>) -> Result<Money, Error> {
    Money::parse("amount", amount.map(contracts::Money::parts))
}
