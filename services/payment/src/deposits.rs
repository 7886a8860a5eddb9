//! What arrives on the shop's bank account: recorded, matched, and given back.

use std::time::SystemTime;

use base::{Error, Money, error::Kind};
use contracts::payment::v1::{
    self as pb, CreditDepositRequest, GetDepositRequest, ListDepositsRequest, ListDepositsResponse,
    MatchDepositRequest, RecordDepositRequest, RefundDepositRequest,
    deposit_service_server::DepositService,
};
use pg::{
    Database, Tx,
    idempotency::{self, Reply},
    in_doubt::Begun,
};
use server::{Incoming, incoming::to_the_end};
use tonic::{Request, Response, Status};

use crate::{
    confirm::{Attempt, ByDeposit, Call, Confirm},
    domain::{
        DEPOSITOR, MemberId, OrderId, PaymentId, Refusal,
        deposit::{
            BANK_TRANSACTION, DEPOSIT, Deposit, DepositId, DepositState, HeldReason, REFERENCE,
            Verdict, judge, normalised,
        },
    },
    service::{account, amount_within},
    store::{
        self,
        deposit::{self, Stored},
    },
    wire,
};

/// Answers calls about deposits.
pub(crate) struct Deposits {
    pub(crate) database: Database,
    pub(crate) confirm: Confirm,
}

#[tonic::async_trait]
impl DepositService for Deposits {
    async fn record_deposit(
        &self,
        request: Request<RecordDepositRequest>,
    ) -> Result<Response<pb::Deposit>, Status> {
        let incoming = Incoming::granted(request)?;
        let (database, confirm) = (self.database.clone(), self.confirm.clone());
        let record = async move { record(&database, &confirm, &incoming).await };
        let (reply, is_new) = to_the_end(record).await?;
        if is_new {
            return Ok(reply.created(|deposit| format!("/v1/deposits/{}", deposit.id))?);
        }
        Ok(reply.into())
    }

    async fn get_deposit(
        &self,
        request: Request<GetDepositRequest>,
    ) -> Result<Response<pb::Deposit>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = DepositId::parse("depositId", &incoming.message.deposit_id)?;
        let mut reader = self.database.read().await?;
        Ok(Response::new(wire::deposit::deposit(&deposit::get(&mut reader, id).await?)))
    }

    async fn list_deposits(
        &self,
        request: Request<ListDepositsRequest>,
    ) -> Result<Response<ListDepositsResponse>, Status> {
        let incoming = Incoming::granted(request)?;
        let message = &incoming.message;
        let page = incoming.page()?;
        let reference = normalised(REFERENCE.parse("reference", &message.reference)?);
        let state = match pb::deposit::State::try_from(message.state) {
            Ok(pb::deposit::State::Unspecified) => None,
            Ok(state) => Some(state.as_str_name()),
            Err(_) => return Err(Error::violation("state", "is not a state of deposits").into()),
        };
        let mut reader = self.database.read().await?;
        let deposits = deposit::list(&mut reader, &reference, state, page).await?;
        let deposits =
            deposits.iter().map(|stored| (stored.deposit.id.0, wire::deposit::deposit(stored)));
        let (deposits, next_page_token) = page.cut(deposits);
        Ok(Response::new(ListDepositsResponse { deposits, next_page_token }))
    }

    async fn match_deposit(
        &self,
        request: Request<MatchDepositRequest>,
    ) -> Result<Response<pb::Deposit>, Status> {
        let incoming = Incoming::granted(request)?;
        let confirm = self.confirm.clone();
        Ok(to_the_end(async move { match_by_hand(&confirm, &incoming).await }).await?.into())
    }

    async fn refund_deposit(
        &self,
        request: Request<RefundDepositRequest>,
    ) -> Result<Response<pb::Deposit>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = DepositId::parse("depositId", &incoming.message.deposit_id)?;
        let account = account("account", incoming.message.account.as_ref())?;
        let actor = incoming.member()?;
        let refund = async |tx: &mut Tx| {
            let mut stored = deposit::lock(tx, id).await?;
            incoming.check_etag(&stored.version.to_string())?;
            deposit::refund(tx, &mut stored, account, actor).await?;
            Ok(wire::deposit::deposit(&stored))
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, refund).await?.into())
    }

    async fn credit_deposit(
        &self,
        request: Request<CreditDepositRequest>,
    ) -> Result<Response<pb::Deposit>, Status> {
        let incoming = Incoming::granted(request)?;
        let id = DepositId::parse("depositId", &incoming.message.deposit_id)?;
        let member = &incoming.message.member_id;
        let named = MemberId::optional("memberId", member)?;
        let actor = incoming.member()?;
        let credit = async |tx: &mut Tx| {
            let mut stored = deposit::lock(tx, id).await?;
            incoming.check_etag(&stored.version.to_string())?;
            let member = match (named, stored.deposit.about) {
                (Some(member), _) => Some(member),
                (None, Some((order, _))) => store::member_in(tx, order).await?,
                (None, None) => None,
            };
            let whose = "is required: no payment says whose deposit this is";
            let member = member.ok_or_else(|| Error::violation("memberId", whose))?;
            deposit::credit(tx, &mut stored, member, actor).await?;
            Ok(wire::deposit::deposit(&stored))
        };
        let command = incoming.command();
        Ok(idempotency::once(&self.database, &command, id.0, credit).await?.into())
    }
}

/// Records what has arrived, and has it pay what it is for. Answers whether it is new.
async fn record(
    database: &Database,
    confirm: &Confirm,
    incoming: &Incoming<RecordDepositRequest>,
) -> Result<(Reply<pb::Deposit>, bool), Error> {
    let message = &incoming.message;
    let received = message.receive_time.map(SystemTime::try_from).transpose();
    let received =
        received.map_err(|_| Error::violation("receiveTime", "is no time that there is"))?;
    let arrived = Deposit {
        id: DepositId(base::id::new()),
        bank_transaction: BANK_TRANSACTION
            .parse("bankTransactionId", &message.bank_transaction_id)?
            .to_owned(),
        amount: amount_within(message.amount.as_ref(), &DEPOSIT)?,
        depositor: DEPOSITOR.parse("depositorName", &message.depositor_name)?.to_owned(),
        reference: normalised(REFERENCE.parse("reference", &message.reference)?),
        receive_time: received.unwrap_or_else(SystemTime::now),
        state: DepositState::Held,
        held_reason: HeldReason::Unmatched,
        about: None,
        matched: Money::ZERO,
        held: Money::ZERO,
        booked: false,
    };
    let command = incoming.command();
    let recorded_by =
        command.key.as_ref().map(|key| format!("{} {key}", command.caller)).unwrap_or_default();
    let Deposit { id, amount, .. } = arrived;
    let mut reader = database.read().await?;
    let target =
        deposit::target(&mut reader, &arrived.reference, &arrived.depositor, amount).await?;
    drop(reader);
    let mut is_new = false;
    let Some((order, member)) = target else {
        let keep = async |tx: &mut Tx| {
            let (mut stored, made) = deposit::make(tx, &arrived, &recorded_by).await?;
            is_new = made;
            if made {
                stored.deposit.hold(HeldReason::Unmatched);
                stored.save(tx).await?;
            }
            same(&stored, amount)?;
            Ok(wire::deposit::deposit(&stored))
        };
        let reply = idempotency::once(database, &command, id.0, keep).await?;
        return recorded(database, reply, is_new, &recorded_by).await;
    };
    let begin = async |tx: &mut Tx| {
        let payment = store::lock(tx, order, member).await?.payment;
        let parts = deposit::parts(tx, order, id).await?;
        let verdict = judge(&payment, amount, deposit::sum(&parts)?, pg::clock::now(tx).await?);
        let (stored, made) = deposit::make(tx, &arrived, &recorded_by).await?;
        is_new = made;
        if !made {
            same(&stored, amount)?;
            return join(tx, stored).await;
        }
        pay(tx, stored, (order, member), parts, verdict).await
    };
    let reply = confirm.deposits.run(&command, order.0, begin).await?;
    earned(confirm, &reply).await;
    recorded(database, reply, is_new, &recorded_by).await
}

/// Whether a command is answered as the one that recorded the deposit, which it is however often it comes.
async fn recorded(
    database: &Database,
    reply: Reply<pb::Deposit>,
    is_new: bool,
    recorded_by: &str,
) -> Result<(Reply<pb::Deposit>, bool), Error> {
    if is_new || recorded_by.is_empty() {
        return Ok((reply, is_new));
    }
    let mut reader = database.read().await?;
    let transaction = &reply.message().bank_transaction_id;
    let is_new = deposit::was_recorded_by(&mut reader, transaction, recorded_by).await?;
    Ok((reply, is_new))
}

/// Has a held deposit pay a payment.
async fn match_by_hand(
    confirm: &Confirm,
    incoming: &Incoming<MatchDepositRequest>,
) -> Result<Reply<pb::Deposit>, Error> {
    let id = DepositId::parse("depositId", &incoming.message.deposit_id)?;
    let payment = PaymentId::parse("paymentId", &incoming.message.payment_id)?;
    let actor = incoming.member()?;
    let mut reader = confirm.deposits.database().read().await?;
    deposit::get(&mut reader, id).await?;
    let (order, member) = match store::find(&mut reader, payment).await {
        Err(error) if error.kind() == Kind::NotFound => {
            return Err(Error::violation("paymentId", "is not a payment"));
        }
        found => found?,
    };
    drop(reader);
    let begin = async |tx: &mut Tx| {
        let payment = store::lock(tx, order, member).await?.payment;
        let mut stored = deposit::lock_alone(tx, id).await?;
        incoming.check_etag(&stored.version.to_string())?;
        let amount = stored.deposit.whole()?;
        let parts = deposit::parts(tx, order, id).await?;
        let verdict =
            match judge(&payment, amount, deposit::sum(&parts)?, pg::clock::now(tx).await?) {
                Verdict::Hold(HeldReason::Excess) => Verdict::Match,
                Verdict::Hold(HeldReason::Late) => return Err(Refusal::DepositExpired.into()),
                Verdict::Hold(HeldReason::Duplicate) => {
                    return Err(Refusal::DepositConfirmed.into());
                }
                Verdict::Hold(HeldReason::OrderCancelled) => {
                    return Err(Refusal::PaymentCancelled.into());
                }
                Verdict::Hold(HeldReason::Unmatched) => return Err(Refusal::NoDeposit.into()),
                verdict => verdict,
            };
        stored.deposit.about = Some((payment.order, payment.id));
        deposit::tell(tx, &stored, wire::deposit::matched(&stored.deposit, actor)).await?;
        pay(tx, stored, (order, member), parts, verdict).await
    };
    let reply = confirm.deposits.run(&incoming.command(), order.0, begin).await?;
    earned(confirm, &reply).await;
    Ok(reply)
}

/// Does with a deposit what the verdict on it says; its payment is locked.
async fn pay(
    tx: &mut Tx,
    mut stored: Stored,
    (order, member): (OrderId, MemberId),
    parts: Vec<Stored>,
    verdict: Verdict,
) -> Result<Begun<Call<ByDeposit>>, Error> {
    let payment = store::lock(tx, order, member).await?.payment;
    match verdict {
        Verdict::Busy => Err(Refusal::Confirming.into()),
        Verdict::Hold(reason) => {
            stored.deposit.hold(reason);
            stored.deposit.about = Some((payment.order, payment.id));
            stored.save(tx).await?;
            Ok(Begun::Already(wire::deposit::deposit(&stored)))
        }
        Verdict::Match => {
            let due = payment.amount.minus(deposit::sum(&parts)?).unwrap_or(Money::ZERO);
            for mut part in parts {
                let amount = part.deposit.amount;
                part.deposit.begin_match(&payment, amount);
                part.save(tx).await?;
            }
            stored.deposit.begin_match(&payment, due);
            stored.save(tx).await?;
            let depositor = stored.deposit.depositor.clone();
            let now = pg::clock::now(tx).await?;
            let (number, payment) = store::update(tx, order, member, |payment, _| {
                Ok((payment.confirm(payment.amount, &depositor, now)?, Vec::new()))
            })
            .await?;
            let gone = || Error::internal("a payment that was just judged");
            let number = number.ok_or_else(gone)?;
            Ok(Begun::Attempt(Attempt::new(number, payment, Some(stored.deposit.id))))
        }
    }
}

/// The same transaction again: what became of it, or another attempt when that is open.
async fn join(tx: &mut Tx, stored: Stored) -> Result<Begun<Call<ByDeposit>>, Error> {
    let (DepositState::Matching, Some((order, _))) = (stored.deposit.state, stored.deposit.about)
    else {
        return Ok(Begun::Already(wire::deposit::deposit(&stored)));
    };
    let member = store::member_in(tx, order).await?;
    let member = member.ok_or_else(|| Error::internal("a deposit for no payment"))?;
    let joined =
        store::update(tx, order, member, |payment, _| Ok((payment.join_confirm(), Vec::new())));
    let (number, payment) = joined.await?;
    Ok(match number {
        Some(number) => Begun::Attempt(Attempt::new(number, payment, Some(stored.deposit.id))),
        None => Begun::Already(wire::deposit::deposit(&stored)),
    })
}

/// Refuses a deposit that is another one under the same name.
fn same(stored: &Stored, amount: Money) -> Result<(), Error> {
    let known = stored.deposit.amount;
    if known == amount {
        return Ok(());
    }
    let detail = format!("this bank transaction is recorded already, with {known}");
    Err(Error::new(Kind::AlreadyExists, "DEPOSIT_DIFFERS", detail))
}

/// Tells mileage of a payment that has just been completed. A courtesy, as a confirmation's.
async fn earned(confirm: &Confirm, reply: &Reply<pb::Deposit>) {
    let matched =
        reply.is_fresh() && reply.message().matched_amount.as_ref().is_some_and(|it| it.units > 0);
    if matched && let Err(error) = confirm.earn(reply.message()).await {
        tracing::debug!(%error, "mileage not earned now, it follows from PaymentApproved");
    }
}
