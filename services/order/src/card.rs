//! Placing an order by card: payment charges first, and an order that cannot be
//! paid is never seen.
//!
//! | call to payment | then |
//! |---|---|
//! | succeeded | PLACED and PAID |
//! | declined | the order is gone, 409 |
//! | provably never ran | the order is gone, 503 |
//! | unknown | ABORTING, committed before the 503; the task cancels the payment |
//!
//! The steps around it are those of [`in_doubt`]. No card token is stored, so the task cannot repeat the
//! call: it aborts what is still PENDING. Aborting leaves a tombstone with payment, so a late approval
//! can never make an order. The idempotency key is given back with every 503: the same command may
//! come again, and is then another order.
//!
//! Who comes with the same key meanwhile goes through the same steps with the same order, and payment
//! charges it once; the first of them to settle it answers for all.

use std::time::Duration;

use base::{Error, error::Kind, id::Uuid};
use contracts::{
    order::v1 as pb,
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest, Payment,
        payment_service::{AUTHORIZE, CANCEL_PAYMENT},
    },
};
use pg::{
    Database, Tx,
    idempotency::{self, Command, Reply},
    in_doubt::{self, Begun, Commands, Settled},
};
use rpc::{Failure, Peer};

use crate::{
    domain::{MemberId, Order, OrderId, State},
    store, wire,
};

/// Places orders by card.
#[derive(Clone)]
pub(crate) struct Card {
    commands: Commands<Call>,
    payment: Peer,
    deadline: Duration,
}

/// Asks payment to charge a card.
pub(crate) struct Call {
    payment: Peer,
    deadline: Duration,
}

pub(crate) struct Attempt {
    order: Order,
    token: String,
    number: i32,
}

impl Card {
    pub(crate) fn new(database: Database, payment: Peer, deadline: Duration) -> Self {
        let call = Call { payment: payment.clone(), deadline };
        Self { commands: Commands::new(database, deadline, call), payment, deadline }
    }

    /// Places a PENDING order, or leaves nothing of it. `order.id` is a fresh one; a repeated
    /// command goes on under its own.
    pub(crate) async fn place(
        &self,
        order: Order,
        token: String,
        command: &Command,
    ) -> Result<Reply<pb::Order>, Error> {
        let id = order.id.0;
        let begin = async |tx: &mut Tx, id| {
            let id = OrderId(id);
            let begun = async {
                store::insert(tx, Order { id, ..order }).await?;
                store::update(tx, id, None, |_, order| Ok((order.begin_place()?, Vec::new()))).await
            };
            let (number, stored) = begun.await.map_err(|error| match error.kind() {
                // Another attempt has given up since its key was looked at; it has removed the order, or
                // the task has yet to cancel the payment.
                Kind::Conflict | Kind::NotFound => unavailable(),
                _ => error,
            })?;
            if !idempotency::is_reserved(tx, command, id.0).await? {
                // Another attempt has given up since, and took the order with it. Placed now it would
                // have no key, and whoever comes with that again would get a second one.
                return Err(unavailable());
            }
            Ok(Begun::Attempt(Attempt { order: stored.order, token, number }))
        };
        self.commands.make(command, id, begin).await
    }

    /// Gives up a card order that nobody has placed: its payment is cancelled first.
    pub(crate) async fn abort(&self, id: OrderId) -> Result<(), Error> {
        let database = self.commands.database();
        let Some(member) = store::pending_member(&mut database.read().await?, id).await? else {
            return Ok(());
        };
        let mut tx = database.begin().await?;
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
        let mut tx = database.begin().await?;
        // The order before its keys, as everybody locks them.
        store::remove_pending(&mut tx, id).await?;
        // Whoever asks again with the same key asks for another order.
        idempotency::release_unanswered(&mut tx, id.0).await?;
        tx.commit().await
    }

    async fn cancel_payment(&self, id: OrderId, member: MemberId) -> Result<(), Error> {
        let request = CancelPaymentRequest {
            order_id: id.to_string(),
            member_id: member.to_string(),
            ..CancelPaymentRequest::default()
        };
        let payment = self.payment.on_behalf_of(member.0);
        let cancelled = payment.unary(CANCEL_PAYMENT, &request, self.deadline).await;
        cancelled.map(|_| ()).map_err(Error::from)
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = "abort-card-order";
    type Attempt = Attempt;
    type Outcome = Result<Payment, Failure>;
    type Answer = pb::Order;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.order.id.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let Attempt { order, token, .. } = attempt;
        let request = AuthorizeRequest {
            order_id: order.id.to_string(),
            member_id: order.member.to_string(),
            amount: Some(order.total.to_wire().into()),
            card_token: token.clone(),
        };
        let payment = self.payment.on_behalf_of(order.member.0);
        payment.unary(AUTHORIZE, &request, self.deadline).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<pb::Order>, Error> {
        match outcome {
            Ok(payment) => placed(tx, attempt, &payment).await,
            Err(failure) => failed(tx, attempt, failure).await,
        }
    }
}

async fn placed(
    tx: &mut Tx,
    attempt: &Attempt,
    payment: &Payment,
) -> Result<Settled<pb::Order>, Error> {
    let payment = base::id::parse("id", &payment.id)?;
    let placed =
        store::update(tx, attempt.order.id, None, |_, order| Ok(((), order.place(payment)?)));
    match placed.await {
        Ok(((), stored)) => Ok(Settled::Done(wire::order(&stored))),
        // Given up meanwhile: the payment is cancelled, or is going to be.
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
            Ok(Settled::InDoubt(unavailable()))
        }
        Err(error) => Err(error),
    }
}

async fn failed(
    tx: &mut Tx,
    attempt: &Attempt,
    failure: Failure,
) -> Result<Settled<pb::Order>, Error> {
    let id = attempt.order.id;
    let aborted = store::update(tx, id, None, |_, order| {
        order.abort();
        Ok((order.places_alone(attempt.number), Vec::new()))
    });
    let alone = match aborted.await {
        Ok((alone, _)) => alone,
        // Another attempt was refused first, and has removed it.
        Err(error) if error.kind() == Kind::NotFound => false,
        Err(error) => return Err(error),
    };
    // What provably did nothing, or was refused for good, leaves nothing to cancel.
    let nothing =
        matches!(failure, Failure::Refused(_)) || matches!(failure, Failure::NeverRan(_) if alone);
    let error = answer_to(failure);
    if !nothing {
        return Ok(Settled::GivenUp(error));
    }
    store::remove_pending(tx, id).await?;
    Ok(Settled::Undone(error))
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
        "payment is unavailable; no order was placed, and nothing was charged",
    )
}
