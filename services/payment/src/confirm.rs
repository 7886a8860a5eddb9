//! The seller confirms a deposit, which takes the goods from the stock in the
//! same call.
//!
//! | call to product | then |
//! |---|---|
//! | succeeded | payment DONE, and its event; mileage is told, which else hears of it from that |
//! | provably never ran | `WAITING_FOR_DEPOSIT` as before, 503 |
//! | refused | payment CANCELLED, and the order by its event, 409 |
//! | unknown | CONFIRMING stays, 503 `OUTCOME_PENDING`; the task repeats the call |
//!
//! The steps around it are those of [`in_doubt`]. Product takes an order's lines once, however often it
//! is asked. An attempt that never ran takes CONFIRMING back only when no other attempt has joined.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    payment::v1::{ConfirmDepositRequest, Payment as Wire},
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
use rpc::{Failure, Peer};
use server::Incoming;
use tonic::Status;

use crate::{
    domain::{DEPOSITOR, Line, MemberId, OrderId, PaymentId},
    mileage::Mileage,
    service::amount,
    store::{self, Stored},
    tasks, wire,
};

/// Confirms deposits.
#[derive(Clone)]
pub(crate) struct Confirm {
    commands: Commands<Call>,
    mileage: Mileage,
}

/// Asks product to take an order's goods from the stock.
pub(crate) struct Call {
    product: Peer,
    deadline: Duration,
}

pub(crate) struct Attempt {
    order: OrderId,
    member: MemberId,
    lines: Vec<Line>,
    number: i32,
}

impl Attempt {
    fn new(number: i32, stored: Stored) -> Self {
        let payment = stored.payment;
        Self { order: payment.order, member: payment.member, lines: payment.lines, number }
    }
}

impl Confirm {
    pub(crate) fn new(
        database: Database,
        product: Peer,
        mileage: Mileage,
        deadline: Duration,
    ) -> Self {
        Self { commands: Commands::new(database, deadline, Call { product, deadline }), mileage }
    }

    /// Carries out a seller's confirmation.
    pub(crate) async fn run(
        &self,
        incoming: Incoming<ConfirmDepositRequest>,
    ) -> Result<Reply<Wire>, Error> {
        let id = PaymentId::parse("paymentId", &incoming.message.payment_id)?;
        let amount = amount(incoming.message.amount.as_ref())?;
        let depositor = DEPOSITOR.parse("depositorName", &incoming.message.depositor_name)?;
        let mut reader = self.commands.database().read().await?;
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
                Some(number) => Begun::Attempt(Attempt::new(number, stored)),
                None => Begun::Already(wire::payment(&stored, &[])),
            })
        };
        let reply = self.commands.run(&incoming.command(), order.0, begin).await?;
        if reply.is_fresh() {
            self.mileage.earn(member, reply.message()).await;
        }
        Ok(reply)
    }

    /// Takes up a confirmation whose outcome is not known yet.
    pub(crate) async fn resume(&self, order: OrderId) -> Result<(), Error> {
        let mut reader = self.commands.database().read().await?;
        let Some(member) = store::member_of(&mut reader, order).await? else { return Ok(()) };
        drop(reader);
        let join = async |tx: &mut Tx| {
            let (number, stored) = store::update(tx, order, member, |payment, _| {
                Ok((payment.join_confirm(), Vec::new()))
            })
            .await?;
            Ok(number.map(|number| Attempt::new(number, stored)))
        };
        self.commands.resume(order.0, join).await
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = tasks::CONFIRM;
    type Attempt = Attempt;
    type Outcome = Result<DecreaseStockResponse, Failure>;
    type Answer = Wire;

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
    ) -> Result<Settled<Wire>, Error> {
        let settled = store::update(tx, attempt.order, attempt.member, |payment, wallets| {
            Ok(match &outcome {
                Ok(DecreaseStockResponse {}) => (true, payment.confirmed(wallets)),
                Err(Failure::Refused(status)) => {
                    let outcome = payment.confirm_refused(cancel_reason(status));
                    (true, outcome.into_iter().collect())
                }
                Err(Failure::NeverRan(_)) => {
                    let (waits, outcome) = payment.confirm_never_ran(attempt.number);
                    (waits, outcome.into_iter().collect())
                }
                Err(Failure::Unknown(_)) => (false, Vec::new()),
            })
        });
        let (definite, stored) = settled.await?;
        Ok(match outcome {
            Ok(_) => Settled::Done(wire::payment(&stored, &[])),
            Err(Failure::Refused(status)) => Settled::Undone(status.into()),
            Err(_) if definite => Settled::Undone(Error::unavailable(
                "PRODUCT_UNAVAILABLE",
                "product is unavailable; the payment still waits for its confirmation",
            )),
            Err(_) => Settled::InDoubt(Error::unavailable(
                "OUTCOME_PENDING",
                "the confirmation is in progress and completes by itself; read the payment again, or repeat the call",
            )),
        })
    }
}

/// Why the order ends, in its words: product refuses what is short or was cancelled.
fn cancel_reason(refusal: &Status) -> &'static str {
    if Error::from(refusal.clone()).reason() == "OUT_OF_STOCK" {
        "OUT_OF_STOCK"
    } else {
        "MEMBER_REQUEST"
    }
}
