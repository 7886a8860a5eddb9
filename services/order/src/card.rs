//! Placing an order by card: payment charges first, and an order that cannot be
//! paid is never seen.
//!
//! | step | fails | then |
//! |---|---|---|
//! | 1 commit PENDING and a task | not committed | nothing has happened |
//! | 2 call payment | declined | the order is gone, 409 |
//! | | provably never ran | the order is gone, 503 |
//! | | unknown | ABORTING, committed before the 503; the task cancels the payment |
//! | 3 commit PLACED and PAID | not committed, or killed before | the task finds PENDING, and aborts |
//!
//! Who comes with the same key meanwhile goes through the same steps with the same order, and payment
//! charges it once; the first of them to settle it answers for all. Each takes the key's row before the
//! order's.
//!
//! Aborting leaves a tombstone with payment, so a late approval can never make an
//! order. The idempotency key is given back with every 503: the same command may
//! come again, and is then another order. No card token is stored.

use std::{sync::Arc, time::Duration};

use contracts::{
    order::v1 as pb,
    payment::v1::{AuthorizeRequest, CancelPaymentRequest, CancelPaymentResponse, Payment},
};
use kit::{
    Database, Error,
    error::Kind,
    idempotency::{self, Reserved},
    incoming::Command,
    rpc::{Failure, Peer},
    task::{self, Due},
};

use crate::{
    domain::{MemberId, Order, OrderId, State},
    render, store,
};

const AUTHORIZE: &str = "/hansang.payment.v1.PaymentService/Authorize";
const CANCEL_PAYMENT: &str = "/hansang.payment.v1.PaymentService/CancelPayment";
/// The task that aborts what nobody has placed.
pub(crate) const TASK: &str = "abort-card-order";

/// Places orders by card.
#[derive(Clone)]
pub(crate) struct Card(Arc<Parts>);

struct Parts {
    database: Database,
    payment: Peer,
    deadline: Duration,
}

impl Card {
    pub(crate) fn new(database: Database, payment: Peer, deadline: Duration) -> Self {
        Self(Arc::new(Parts { database, payment, deadline }))
    }

    /// Places a PENDING order, or leaves nothing of it. `order.id` is a fresh one; a repeated
    /// command goes on under its own.
    pub(crate) async fn place(
        &self,
        order: Order,
        token: &str,
        command: &Command,
    ) -> Result<Placed, Error> {
        let mut tx = self.0.database.begin().await?;
        let id = match idempotency::reserve(&mut tx, command, order.id.0).await? {
            Reserved::Proceed(id) => OrderId(id),
            Reserved::Replay(order) => return Ok(Placed::Before(order)),
        };
        let begun = async {
            store::insert(&mut tx, Order { id, ..order }).await?;
            store::update(&mut tx, id, None, |_, order| Ok((order.begin_place(), Vec::new()))).await
        };
        let begun = match begun.await {
            // Another attempt has given up since its key was looked at, and has removed it.
            Err(error) if error.kind() == Kind::NotFound => return Err(unavailable()),
            begun => begun?,
        };
        let (Ok(attempt), stored) = begun else {
            tx.rollback().await;
            // Placed since its key was looked at; or given up with its key still there, while its task
            // has yet to cancel the payment.
            let placed = idempotency::recall(&mut self.0.database.read().await?, command).await?;
            return placed.map(Placed::Before).ok_or_else(unavailable);
        };
        if !idempotency::is_reserved(&mut tx, command, id.0).await? {
            // Another attempt has given up since, and took the order with it. Placed now it would have
            // no key, and whoever comes with that again would get a second one.
            tx.rollback().await;
            return Err(unavailable());
        }
        task::schedule(&mut tx, TASK, id.0, Due::After(self.0.deadline * 2), &[]).await?;
        tx.commit().await?;

        let order = &stored.order;
        let request = AuthorizeRequest {
            order_id: id.to_string(),
            member_id: order.member.to_string(),
            amount: Some(order.total.to_wire().into()),
            card_token: token.to_owned(),
        };
        let payment = self.0.payment.on_behalf_of(order.member.0);
        let charged: Result<Payment, Failure> =
            payment.unary(AUTHORIZE, &request, self.0.deadline).await;
        match charged {
            Ok(payment) => self.placed(id, &payment, command).await,
            Err(failure) => self.failed(id, attempt, command, failure).await,
        }
    }

    async fn placed(
        &self,
        id: OrderId,
        payment: &Payment,
        command: &Command,
    ) -> Result<Placed, Error> {
        let payment = kit::id::parse("id", &payment.id)?;
        let mut tx = self.0.database.begin().await?;
        if let Some(order) = idempotency::settled(&mut tx, command, id.0).await? {
            return Ok(Placed::Before(order));
        }
        let placed =
            store::update(&mut tx, id, None, |_, order| Ok(((), order.place(payment)?))).await;
        let stored = match placed {
            Ok(((), stored)) => stored,
            // Given up meanwhile: the payment is cancelled, or is going to be.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
                return Err(unavailable());
            }
            Err(error) => return Err(error),
        };
        task::remove(&mut tx, TASK, id.0).await?;
        let order = render::order(&stored);
        idempotency::store(&mut tx, command, &order).await?;
        tx.commit().await?;
        Ok(Placed::Now(order))
    }

    /// Answers what the caller gets, once it is true.
    async fn failed(
        &self,
        id: OrderId,
        attempt: i32,
        command: &Command,
        failure: Failure,
    ) -> Result<Placed, Error> {
        let mut tx = self.0.database.begin().await?;
        if let Some(order) = idempotency::settled(&mut tx, command, id.0).await? {
            return Ok(Placed::Before(order));
        }
        // By what it was to make: the key may be another order's by now.
        idempotency::release_unanswered(&mut tx, id.0).await?;
        let aborted = store::update(&mut tx, id, None, |_, order| {
            order.abort();
            Ok((order.places_alone(attempt), Vec::new()))
        });
        let alone = match aborted.await {
            Ok((alone, _)) => alone,
            // Another attempt was refused first, and has removed it.
            Err(error) if error.kind() == Kind::NotFound => false,
            Err(error) => return Err(error),
        };
        // What provably did nothing, or was refused for good, leaves nothing to cancel.
        let nothing = matches!(failure, Failure::Refused(_))
            || matches!(failure, Failure::NeverRan(_) if alone);
        if nothing {
            store::remove_pending(&mut tx, id).await?;
            task::remove(&mut tx, TASK, id.0).await?;
        }
        tx.commit().await?;
        Err(answer_to(failure))
    }

    /// Gives up a card order that nobody has placed: its payment is cancelled first.
    pub(crate) async fn abort(&self, id: OrderId) -> Result<(), Error> {
        let Some(member) = store::pending_member(&mut self.0.database.read().await?, id).await?
        else {
            return Ok(());
        };
        let mut tx = self.0.database.begin().await?;
        let aborted = store::update(&mut tx, id, None, |_, order| {
            order.abort();
            Ok((order.state(), Vec::new()))
        });
        let state = match aborted.await {
            Ok((state, _)) => state,
            // Its caller has removed it just now.
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        tx.commit().await?;
        if state != State::Aborting {
            // Placed after all, just now: what is paid stays paid.
            return Ok(());
        }
        self.cancel_payment(id, member).await?;
        let mut tx = self.0.database.begin().await?;
        // Whoever asks again with the same key asks for another order.
        idempotency::release_unanswered(&mut tx, id.0).await?;
        store::remove_pending(&mut tx, id).await?;
        tx.commit().await
    }

    async fn cancel_payment(&self, id: OrderId, member: MemberId) -> Result<(), Error> {
        let request =
            CancelPaymentRequest { order_id: id.to_string(), member_id: member.to_string() };
        let payment = self.0.payment.on_behalf_of(member.0);
        let cancelled: Result<CancelPaymentResponse, Failure> =
            payment.unary(CANCEL_PAYMENT, &request, self.0.deadline).await;
        cancelled.map(|_| ()).map_err(Error::from)
    }
}

/// How placing ended for its caller.
pub(crate) enum Placed {
    Now(pb::Order),
    /// So the same command answered before.
    Before(pb::Order),
}

/// What the caller is answered when a charge failed. Payment refuses an order as cancelled when it
/// was given up meanwhile: the same command may be sent again.
fn answer_to(failure: Failure) -> Error {
    match failure {
        Failure::Refused(status) => {
            let refusal = Error::from(status);
            if refusal.reason() == "ORDER_CANCELLED" { unavailable() } else { refusal }
        }
        Failure::NeverRan(_) | Failure::Unknown(_) => unavailable(),
    }
}

fn unavailable() -> Error {
    Error::unavailable(
        "PAYMENT_UNAVAILABLE",
        "payment cannot be asked now; there is no order, and nothing is charged",
    )
}
