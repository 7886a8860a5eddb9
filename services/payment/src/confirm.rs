//! What has arrived for a bank transfer pays it, which takes the goods from the stock in the
//! same call. The seller confirms it, or a deposit says so.
//!
//! | call to product | then |
//! |---|---|
//! | succeeded | payment DONE, and its event, the deposits MATCHED; mileage is told, which else hears of it from that |
//! | provably never ran | `WAITING_FOR_DEPOSIT` and the deposits as before, 503 |
//! | refused | payment CANCELLED, and the order by its event, the deposits HELD; 409 to the seller who confirms |
//! | unknown | CONFIRMING stays, 503 `OUTCOME_PENDING`; the task repeats the call |
//!
//! The steps around it are those of [`in_doubt`]. Product takes an order's lines once, however often it
//! is asked. An attempt that never ran takes CONFIRMING back only when no other attempt has joined.

use std::{future::Future, marker::PhantomData, time::Duration};

use base::{Error, id::Uuid};
use contracts::{
    payment::v1::{ConfirmDepositRequest, Deposit as WireDeposit, Payment as Wire},
    product::v1::{
        self as product, DecreaseStockRequest, DecreaseStockResponse,
        product_service::DECREASE_STOCK,
    },
};
use pg::{
    Database, Tx,
    idempotency::Reply,
    in_doubt::{self, Begun, Commands, Settled},
};
use prost::Message;
use rpc::{Failure, Peer};
use server::Incoming;
use tonic::Status;

use crate::{
    domain::{
        DEPOSITOR, Line, MemberId, OrderId, PaymentId,
        deposit::{DepositId, HeldReason},
    },
    mileage::Mileage,
    service::amount,
    store::{self, Stored, deposit},
    tasks, wire,
};

/// Confirms deposits.
#[derive(Clone)]
pub(crate) struct Confirm {
    pub(crate) payments: Commands<Call<ByPayment>>,
    pub(crate) deposits: Commands<Call<ByDeposit>>,
    mileage: Mileage,
}

/// Asks product to take an order's goods from the stock.
pub(crate) struct Call<A> {
    product: Peer,
    deadline: Duration,
    answers: PhantomData<A>,
}

pub(crate) struct Attempt {
    order: OrderId,
    member: MemberId,
    lines: Vec<Line>,
    number: i32,
    /// The deposit that it is about, where somebody waits for that.
    deposit: Option<DepositId>,
}

impl Attempt {
    pub(crate) fn new(number: i32, stored: Stored, deposit: Option<DepositId>) -> Self {
        let payment = stored.payment;
        let (order, member, lines) = (payment.order, payment.member, payment.lines);
        Self { order, member, lines, number, deposit }
    }
}

/// What the caller is answered.
pub(crate) trait Answers: Send + Sync + 'static {
    type Answer: Message + Default;
    /// Whether that the goods are gone is an answer too.
    const TAKES_REFUSALS: bool;

    fn answer(
        tx: &mut Tx,
        attempt: &Attempt,
        stored: &Stored,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send;
}

/// The seller confirms, and sees the payment.
pub(crate) struct ByPayment;

impl Answers for ByPayment {
    type Answer = Wire;
    const TAKES_REFUSALS: bool = false;

    async fn answer(_: &mut Tx, _: &Attempt, stored: &Stored) -> Result<Wire, Error> {
        Ok(wire::payment(stored, &[]))
    }
}

/// Somebody says what arrived, and sees what became of it.
pub(crate) struct ByDeposit;

impl Answers for ByDeposit {
    type Answer = WireDeposit;
    const TAKES_REFUSALS: bool = true;

    async fn answer(tx: &mut Tx, attempt: &Attempt, _: &Stored) -> Result<WireDeposit, Error> {
        let missing = || Error::internal("a deposit that was just matched");
        let id = attempt.deposit.ok_or_else(missing)?;
        let stored = deposit::get_in(tx, id).await?.ok_or_else(missing)?;
        Ok(wire::deposit::deposit(&stored))
    }
}

impl Confirm {
    pub(crate) fn new(
        database: Database,
        product: Peer,
        mileage: Mileage,
        deadline: Duration,
    ) -> Self {
        let call = Call { product: product.clone(), deadline, answers: PhantomData };
        let payments = Commands::new(database.clone(), deadline, call);
        let call = Call { product, deadline, answers: PhantomData };
        Self { payments, deposits: Commands::new(database, deadline, call), mileage }
    }

    /// Carries out a seller's confirmation.
    pub(crate) async fn run(
        &self,
        incoming: Incoming<ConfirmDepositRequest>,
    ) -> Result<Reply<Wire>, Error> {
        let id = PaymentId::parse("paymentId", &incoming.message.payment_id)?;
        let amount = amount(incoming.message.amount.as_ref())?;
        let depositor = DEPOSITOR.parse("depositorName", &incoming.message.depositor_name)?;
        let mut reader = self.payments.database().read().await?;
        let (order, member) = store::find(&mut reader, id).await?;
        drop(reader);
        let begin = async |tx: &mut Tx| {
            incoming.check_etag(&wire::etag(&store::lock(tx, order, member).await?))?;
            let now = pg::clock::now(tx).await?;
            let (number, stored) = store::update(tx, order, member, |payment, _| {
                Ok((payment.confirm(amount, depositor, now)?, Vec::new()))
            })
            .await?;
            Ok(match number {
                Some(number) => {
                    deposit::by_hand(tx, &stored.payment, now).await?;
                    Begun::Attempt(Attempt::new(number, stored, None))
                }
                None => Begun::Already(wire::payment(&stored, &[])),
            })
        };
        let reply = self.payments.run(&incoming.command(), order.0, begin).await?;
        if reply.is_fresh() {
            self.mileage.earn(member, reply.message()).await;
        }
        Ok(reply)
    }

    /// Tells mileage of a payment that a deposit has completed.
    pub(crate) async fn earn(&self, deposit: &WireDeposit) -> Result<(), Error> {
        let Ok(id) = PaymentId::parse("paymentId", &deposit.payment_id) else { return Ok(()) };
        let mut reader = self.payments.database().read().await?;
        let stored = store::get(&mut reader, id, None).await?;
        drop(reader);
        self.mileage.earn(stored.payment.member, &wire::payment(&stored, &[])).await;
        Ok(())
    }

    /// Takes up a confirmation whose outcome is not known yet.
    pub(crate) async fn resume(&self, order: OrderId) -> Result<(), Error> {
        let mut reader = self.payments.database().read().await?;
        let Some(member) = store::member_of(&mut reader, order).await? else { return Ok(()) };
        drop(reader);
        let join = async |tx: &mut Tx| {
            let (number, stored) = store::update(tx, order, member, |payment, _| {
                Ok((payment.join_confirm(), Vec::new()))
            })
            .await?;
            Ok(number.map(|number| Attempt::new(number, stored, None)))
        };
        self.payments.resume(order.0, join).await
    }
}

impl<A: Answers> in_doubt::Call for Call<A> {
    const TASK: &'static str = tasks::CONFIRM;
    type Attempt = Attempt;
    type Outcome = Result<DecreaseStockResponse, Failure>;
    type Answer = A::Answer;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.order.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let line = |line: &Line| product::Line {
            product_id: line.product.to_string(),
            quantity: line.quantity,
        };
        let request = DecreaseStockRequest {
            order_id: attempt.order.to_string(),
            member_id: attempt.member.to_string(),
            lines: attempt.lines.iter().map(line).collect(),
        };
        let product = self.product.on_behalf_of(attempt.member.0);
        product.unary(DECREASE_STOCK, &request, self.deadline).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<A::Answer>, Error> {
        let (definite, stored) = decide(tx, attempt, &outcome).await?;
        Ok(match outcome {
            Ok(_) => Settled::Done(A::answer(tx, attempt, &stored).await?),
            Err(Failure::Refused(_)) if A::TAKES_REFUSALS => {
                Settled::Done(A::answer(tx, attempt, &stored).await?)
            }
            Err(Failure::Refused(status)) => Settled::Undone(status.into()),
            Err(_) if definite => Settled::Undone(Error::unavailable(
                "PRODUCT_UNAVAILABLE",
                "product is unavailable; the payment still waits for its deposit",
            )),
            Err(_) => Settled::InDoubt(Error::unavailable(
                "OUTCOME_PENDING",
                "the confirmation is in progress and completes by itself; read the payment again, or repeat the call",
            )),
        })
    }
}

/// What product said decides the payment, and with it the deposits. Answers whether it was definite.
async fn decide(
    tx: &mut Tx,
    attempt: &Attempt,
    outcome: &Result<DecreaseStockResponse, Failure>,
) -> Result<(bool, Stored), Error> {
    let order = attempt.order;
    let now = pg::clock::now(tx).await?;
    if outcome.is_ok() {
        // Confirmed by a version that knew of no deposits.
        let stored = store::lock(tx, order, attempt.member).await?;
        deposit::by_hand(tx, &stored.payment, now).await?;
    }
    let (decided, stored) = store::update(tx, order, attempt.member, |payment, wallets| {
        Ok(match outcome {
            Ok(DecreaseStockResponse {}) => (true, payment.confirmed(wallets)),
            Err(Failure::Refused(status)) => {
                (true, payment.confirm_refused(cancel_reason(status), wallets))
            }
            Err(Failure::NeverRan(_)) => payment.confirm_never_ran(attempt.number, wallets),
            Err(Failure::Unknown(_)) => (false, Vec::new()),
        })
    })
    .await?;
    match outcome {
        Ok(_) => deposit::matched(tx, order).await?,
        Err(Failure::Refused(status)) => deposit::hold(tx, order, held_reason(status)).await?,
        Err(Failure::NeverRan(_)) if decided => deposit::unmatch(tx, order).await?,
        Err(Failure::NeverRan(_) | Failure::Unknown(_)) => {}
    }
    Ok((decided, stored))
}

/// Why the order ends, in its words: product refuses what is short or was cancelled.
fn cancel_reason(refusal: &Status) -> &'static str {
    if is_short(refusal) { "OUT_OF_STOCK" } else { "MEMBER_REQUEST" }
}

fn held_reason(refusal: &Status) -> HeldReason {
    if is_short(refusal) { HeldReason::OutOfStock } else { HeldReason::OrderCancelled }
}

fn is_short(refusal: &Status) -> bool {
    Error::from(refusal.clone()).reason() == "OUT_OF_STOCK"
}
