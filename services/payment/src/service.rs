//! The payment service's calls: parse, call, render.

use std::ops::RangeInclusive;

use base::{Error, Money, error::not_found, id::Uuid, input};
use contracts::{
    order::v1::{BankAccount, Pieces},
    payment::v1::{
        self as pb, AdjustWalletRequest, AskWithdrawalRequest, AskWithdrawalResponse,
        AuthorizeRequest, CancelPaymentRequest, CancelPaymentResponse, ConfirmDepositRequest,
        DeclareDepositorRequest, DeclareDepositorResponse, GetPaymentRequest, GetPayoutRequest,
        GetWalletRequest, ListPaymentsRequest, ListPaymentsResponse, ListPayoutsRequest,
        ListPayoutsResponse, ListWalletEntriesRequest, ListWalletEntriesResponse,
        PayOutWalletRequest, RefundPartRequest, RefundPartResponse, TopUpWalletRequest,
        payment_service_server::PaymentService,
    },
};
use identity::access::Scope;
use pg::{Database, Reader, Tx, idempotency};
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    authorise::Authorise,
    confirm::Confirm,
    domain::{
        AMOUNT, By, DEPOSITOR, LINES, Line, MemberId, OrderId, Payment, PaymentId, QUANTITY,
        Refusal, State,
        part::{Part, PartId},
        payout::{Account, PAYOUT, PayoutId},
        wallet::{ADJUSTMENT, Note, REASON},
    },
    store::{self, Filter, Stored},
    top_up::FillWallet,
    wire,
};

/// Answers calls about payments and wallets.
pub(crate) struct Payments {
    pub(crate) database: Database,
    pub(crate) authorise: Authorise,
    pub(crate) confirm: Confirm,
    pub(crate) fill_wallet: FillWallet,
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
        let mut payments = rendered(&mut reader, &[stored], &incoming.scope).await?;
        Ok(Response::new(payments.remove(0).1))
    }

    async fn list_payments(
        &self,
        request: Request<ListPaymentsRequest>,
    ) -> Result<Response<ListPaymentsResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let order = OrderId::optional("orderId", &message.order_id)?;
        let state = match pb::payment::State::try_from(message.state) {
            Ok(pb::payment::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of payments").into()),
        };
        let filter = Filter { owner: incoming.scope.owner(), order, state };
        let mut reader = self.database.read().await?;
        let payments = store::list(&mut reader, &filter, page).await?;
        let payments = rendered(&mut reader, &payments, &incoming.scope).await?;
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

    async fn declare_depositor(
        &self,
        request: Request<DeclareDepositorRequest>,
    ) -> Result<Response<DeclareDepositorResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let depositor = DEPOSITOR.parse("depositorName", &incoming.message.depositor_name)?;
        let mut tx = self.database.begin().await?;
        // Payment may not have heard of the order yet.
        store::lock(&mut tx, order, MemberId(member)).await?;
        store::deposit::declare(&mut tx, order, depositor).await?;
        tx.commit().await?;
        Ok(Response::new(DeclareDepositorResponse {}))
    }

    async fn cancel_payment(
        &self,
        request: Request<CancelPaymentRequest>,
    ) -> Result<Response<CancelPaymentResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let member = MemberId(member);
        let by = if incoming.message.by_shop { By::Shop } else { By::Member };
        let to = incoming.message.refund_account.as_ref();
        let to = to.map(|it| account("refundAccount", Some(it))).transpose()?;
        let mut tx = self.database.begin().await?;
        let ((), stored) = store::update(&mut tx, order, member, |payment, wallets| {
            Ok(((), payment.ask_cancel(by, to, wallets)?))
        })
        .await?;
        tx.commit().await?;
        let known = stored.payment.state != State::Refused;
        Ok(Response::new(CancelPaymentResponse {
            payment: known.then(|| wire::payment(&stored, &[])),
        }))
    }

    async fn refund_part(
        &self,
        request: Request<RefundPartRequest>,
    ) -> Result<Response<RefundPartResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let message = &incoming.message;
        let order = OrderId::parse("orderId", &message.order_id)?;
        let share = |field, amount: Option<&contracts::Money>| {
            Money::parse_within(field, amount.map(contracts::Money::parts), &AMOUNT)
        };
        let wallet = message.wallet_amount.as_ref();
        let to = message.refund_account.as_ref();
        let part = Part {
            id: PartId::parse("partId", &message.part_id)?,
            amount: share("amount", message.amount.as_ref())?,
            wallet: wallet.map_or(Ok(Money::ZERO), |it| share("walletAmount", Some(it)))?,
            lines: pieces(&message.lines)?,
            by: if message.by_shop { By::Shop } else { By::Member },
            account: to.map(|it| account("refundAccount", Some(it))).transpose()?,
        };
        let mut tx = self.database.begin().await?;
        let unpaid = store::refund_part(&mut tx, order, MemberId(member), part).await?;
        tx.commit().await?;
        Ok(Response::new(RefundPartResponse { unpaid }))
    }

    async fn ask_withdrawal(
        &self,
        request: Request<AskWithdrawalRequest>,
    ) -> Result<Response<AskWithdrawalResponse>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let mut reader = self.database.read().await?;
        if store::has_money(&mut reader, MemberId(member)).await? {
            return Err(Error::from(Refusal::WalletNotEmpty).into());
        }
        Ok(Response::new(AskWithdrawalResponse {}))
    }

    async fn get_wallet(
        &self,
        request: Request<GetWalletRequest>,
    ) -> Result<Response<pb::Wallet>, Status> {
        let (_, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let mut reader = self.database.read().await?;
        let balance = store::balance(&mut reader, member).await?;
        Ok(Response::new(wire::wallet::wallet(member, balance)))
    }

    async fn top_up_wallet(
        &self,
        request: Request<TopUpWalletRequest>,
    ) -> Result<Response<pb::Wallet>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let fill_wallet = self.fill_wallet.clone();
        let fill = async move { fill_wallet.run(MemberId(member), incoming).await };
        Ok(to_the_end(fill).await?.into())
    }

    async fn adjust_wallet(
        &self,
        request: Request<AdjustWalletRequest>,
    ) -> Result<Response<pb::Wallet>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let member = MemberId::parse("memberId", &message.member_id)?;
        let by = amount_within(message.amount.as_ref(), &ADJUSTMENT)?;
        if by == Money::ZERO {
            return Err(Error::violation("amount.units", "must not be 0").into());
        }
        let reason = REASON.parse("reason", &message.reason)?.to_owned();
        let note = Note { reason, actor: incoming.member()? };
        let adjust = async |tx: &mut Tx| {
            let balance = store::adjust(tx, member, by, note).await?;
            Ok(wire::wallet::wallet(member, balance))
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, member.0, adjust).await?.into())
    }

    async fn pay_out_wallet(
        &self,
        request: Request<PayOutWalletRequest>,
    ) -> Result<Response<pb::Payout>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let member = MemberId(member);
        let amount = amount_within(incoming.message.amount.as_ref(), &PAYOUT)?;
        let account = account("account", incoming.message.account.as_ref())?;
        let for_another = incoming.member()? != member.0;
        let id = PayoutId(base::id::new());
        let pay_out = async |tx: &mut Tx| {
            if for_another && !store::has_withdrawn(tx, member).await? {
                return Err(Refusal::MemberActive.into());
            }
            Ok(wire::wallet::payout(&store::pay_out(tx, id, member, amount, account).await?))
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, pay_out).await?.into())
    }

    async fn get_payout(
        &self,
        request: Request<GetPayoutRequest>,
    ) -> Result<Response<pb::Payout>, Status> {
        let incoming = Incoming::scoped(request)?;
        let id = PayoutId::parse("payoutId", &incoming.message.payout_id)?;
        let mut reader = self.database.read().await?;
        let stored = store::payout(&mut reader, id, incoming.scope.owner()).await?;
        Ok(Response::new(wire::wallet::payout(&stored)))
    }

    async fn list_payouts(
        &self,
        request: Request<ListPayoutsRequest>,
    ) -> Result<Response<ListPayoutsResponse>, Status> {
        let incoming = Incoming::scoped(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let wanted = MemberId::optional("memberId", &message.member_id)?;
        let state = match pb::payout::State::try_from(message.state) {
            Ok(pb::payout::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of payouts").into()),
        };
        let owner = incoming.scope.owner();
        let wanted = wanted.map(|member| member.0);
        if let (Some(owner), Some(wanted)) = (owner, wanted)
            && owner != wanted
        {
            return Err(not_found().into());
        }
        let mut reader = self.database.read().await?;
        let payouts = store::payouts(&mut reader, owner.or(wanted), state, page).await?;
        let payouts =
            payouts.iter().map(|stored| (stored.payout.id.0, wire::wallet::payout(stored)));
        let (payouts, next_page_token) = page.cut(payouts);
        Ok(Response::new(ListPayoutsResponse { payouts, next_page_token }))
    }

    async fn list_wallet_entries(
        &self,
        request: Request<ListWalletEntriesRequest>,
    ) -> Result<Response<ListWalletEntriesResponse>, Status> {
        let (incoming, member) = Incoming::owned(request, "memberId", |m| &m.member_id)?;
        let page = incoming.page()?;
        let mut reader = self.database.read().await?;
        let entries = store::entries(&mut reader, MemberId(member), page).await?;
        let entries = entries.iter().map(|entry| (entry.id, wire::wallet::entry(entry)));
        let (entries, next_page_token) = page.cut(entries);
        Ok(Response::new(ListWalletEntriesResponse { entries, next_page_token }))
    }
}

/// Payments as `scope` sees them, each with what went back of it.
async fn rendered(
    reader: &mut Reader,
    payments: &[Stored],
    scope: &Scope,
) -> Result<Vec<(Uuid, pb::Payment)>, Error> {
    let gave_back = |it: &&Stored| {
        let Payment { state, refunded, wallet_refunded, .. } = &it.payment;
        *state == State::Cancelled || (*refunded, *wallet_refunded) != (Money::ZERO, Money::ZERO)
    };
    let orders: Vec<Uuid> =
        payments.iter().filter(gave_back).map(|it| it.payment.order.0).collect();
    let refunds = store::refunds(reader, &orders).await?;
    let render = |stored: &Stored| {
        let refunds = refunds.get(&stored.payment.order).map_or(&[][..], Vec::as_slice);
        let payment = wire::payment(stored, refunds);
        let payment = if scope.owner().is_some() { wire::for_member(payment) } else { payment };
        (stored.payment.id.0, payment)
    };
    Ok(payments.iter().map(render).collect())
}

/// Reads the `lines` of a request.
fn pieces(pieces: &[Pieces]) -> Result<Vec<Line>, Error> {
    input::count("lines", pieces.len(), &LINES)?;
    let line = |(at, piece): (usize, &Pieces)| {
        let product = base::id::parse(&format!("lines[{at}].productId"), &piece.product_id)?;
        let field = format!("lines[{at}].quantity");
        Ok(Line { product, quantity: input::number(&field, piece.quantity, &QUANTITY)? })
    };
    pieces.iter().enumerate().map(line).collect()
}

/// Reads an account of a request; `field` is its path.
pub(crate) fn account(field: &str, account: Option<&BankAccount>) -> Result<Account, Error> {
    let account = account.ok_or_else(|| Error::violation(field, "is required"))?;
    Account::parse(field, &account.bank_code, &account.account_number, &account.holder)
}

/// Reads the `amount` of a request, within a range of won.
pub(crate) fn amount_within(
    amount: Option<&contracts::Money>,
    won: &RangeInclusive<i64>,
) -> Result<Money, Error> {
    Money::parse_within("amount", amount.map(contracts::Money::parts), won)
}

/// Reads the `amount` of a request.
pub(crate) fn amount(amount: Option<&contracts::Money>) -> Result<Money, Error> {
    Money::parse("amount", amount.map(contracts::Money::parts))
}
