//! Cancelling an order: the member asks, payment decides.
//!
//! How each step fails:
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit CANCELLING and a task | not committed | nothing has happened |
//! | 2 call payment | provably never ran | the order is as it was, 503 |
//! | | refused | the order goes on from what it has learned, 409 |
//! | | unknown | CANCELLING stays, 503 `OUTCOME_PENDING`; the task repeats step 2 |
//! | 3 commit the outcome | not committed, or killed before | the task repeats step 2 |
//!
//! Payment cancels an order once, however often it is asked. An attempt that
//! never ran takes CANCELLING back only when no other attempt has joined.

use std::{sync::Arc, time::Duration};

use contracts::{
    order::v1 as pb,
    payment::v1::{CancelPaymentRequest, CancelPaymentResponse},
};
use kit::{
    Database, Error, Incoming,
    idempotency::{self, Reserved},
    incoming::Command,
    rpc::{Failure, Peer},
    task::{self, Due},
};

use crate::{
    domain::{MemberId, OrderId},
    render, store,
};

const CANCEL_PAYMENT: &str = "/hansang.payment.v1.PaymentService/CancelPayment";
/// The task that repeats the call until it is definite.
pub(crate) const TASK: &str = "cancel-payment";

/// Cancels orders.
#[derive(Clone)]
pub(crate) struct Cancel(Arc<Parts>);

struct Parts {
    database: Database,
    payment: Peer,
    deadline: Duration,
}

/// An attempt that has been committed and may now call payment.
struct Attempt {
    order: OrderId,
    member: MemberId,
    number: i32,
}

/// How a cancellation ended for its caller.
pub(crate) enum Ended {
    /// The order is cancelled.
    Now(pb::Order),
    /// So the same command answered before.
    Before(pb::Order),
}

impl Cancel {
    pub(crate) fn new(database: Database, payment: Peer, deadline: Duration) -> Self {
        Self(Arc::new(Parts { database, payment, deadline }))
    }

    /// Carries out a member's wish to cancel.
    pub(crate) async fn run(
        &self,
        incoming: Incoming<pb::CancelOrderRequest>,
    ) -> Result<Ended, Error> {
        let id = OrderId::parse("orderId", &incoming.message.order_id)?;
        let command = incoming.command();
        let mut tx = self.0.database.begin().await?;
        if let Reserved::Replay(order) = idempotency::reserve(&mut tx, &command, id.0).await? {
            return Ok(Ended::Before(order));
        }
        let (attempt, stored) =
            store::update(&mut tx, id, incoming.scope.owner(), |stored, order| {
                incoming.check_etag(&render::etag(stored))?;
                Ok((order.begin_cancel()?, Vec::new()))
            })
            .await?;
        let Some(number) = attempt else {
            let order = render::order(&stored);
            idempotency::store(&mut tx, &command, &order).await?;
            tx.commit().await?;
            return Ok(Ended::Now(order));
        };
        task::schedule(&mut tx, TASK, id.0, Due::After(self.0.deadline * 2), &[]).await?;
        tx.commit().await?;
        let attempt = Attempt { order: id, member: stored.order.member, number };
        self.finish(&attempt, Some(&command)).await.map(Ended::Now)
    }

    /// Steps 2 and 3.
    async fn finish(
        &self,
        attempt: &Attempt,
        command: Option<&Command>,
    ) -> Result<pb::Order, Error> {
        let request = CancelPaymentRequest {
            order_id: attempt.order.to_string(),
            member_id: attempt.member.to_string(),
        };
        let payment = self.0.payment.on_behalf_of(attempt.member.0);
        let asked: Result<CancelPaymentResponse, Failure> =
            payment.unary(CANCEL_PAYMENT, &request, self.0.deadline).await;
        match asked {
            Ok(_) => self.cancelled(attempt, command).await,
            Err(Failure::Refused(status)) => {
                self.refused(attempt).await?;
                Err(status.into())
            }
            Err(Failure::NeverRan(_)) => Err(self.never_ran(attempt).await?),
            Err(Failure::Unknown(_)) => Err(outcome_pending()),
        }
    }

    async fn cancelled(
        &self,
        attempt: &Attempt,
        command: Option<&Command>,
    ) -> Result<pb::Order, Error> {
        let mut tx = self.0.database.begin().await?;
        let ((), stored) =
            store::update(&mut tx, attempt.order, None, |_, order| Ok(((), order.cancelled())))
                .await?;
        task::remove(&mut tx, TASK, attempt.order.0).await?;
        let order = render::order(&stored);
        let order = idempotency::settle(&mut tx, command, attempt.order.0, order).await?;
        tx.commit().await?;
        Ok(order)
    }

    async fn refused(&self, attempt: &Attempt) -> Result<(), Error> {
        let mut tx = self.0.database.begin().await?;
        store::update(&mut tx, attempt.order, None, |_, order| Ok(((), order.cancel_refused())))
            .await?;
        task::remove(&mut tx, TASK, attempt.order.0).await?;
        idempotency::release_unanswered(&mut tx, attempt.order.0).await?;
        tx.commit().await
    }

    async fn never_ran(&self, attempt: &Attempt) -> Result<Error, Error> {
        let mut tx = self.0.database.begin().await?;
        let (as_it_was, _) = store::update(&mut tx, attempt.order, None, |_, order| {
            Ok(order.cancel_never_ran(attempt.number))
        })
        .await?;
        if !as_it_was {
            return Ok(outcome_pending());
        }
        task::remove(&mut tx, TASK, attempt.order.0).await?;
        idempotency::release_unanswered(&mut tx, attempt.order.0).await?;
        tx.commit().await?;
        Ok(Error::unavailable(
            "PAYMENT_UNAVAILABLE",
            "payment cannot be asked now; the order is as it was",
        ))
    }

    /// Takes up a cancellation whose outcome is not known yet.
    pub(crate) async fn resume(&self, id: OrderId) -> Result<(), Error> {
        let mut tx = self.0.database.begin().await?;
        let (number, stored) =
            store::update(&mut tx, id, None, |_, order| Ok((order.join_cancel(), Vec::new())))
                .await?;
        tx.commit().await?;
        let Some(number) = number else { return Ok(()) };
        let attempt = Attempt { order: id, member: stored.order.member, number };
        self.finish(&attempt, None).await.map(|_| ())
    }
}

fn outcome_pending() -> Error {
    Error::unavailable(
        "OUTCOME_PENDING",
        "the cancellation is under way and goes on by itself; look again, or repeat the call",
    )
}
