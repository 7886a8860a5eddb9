//! Cancelling an order: the member asks, or the shop, and payment decides.
//!
//! | call to payment | then |
//! |---|---|
//! | succeeded | CANCELLED |
//! | provably never ran | the order is as it was, 503 |
//! | refused | the order goes on from what it has learned, 409 |
//! | unknown | CANCELLING stays, 503 `OUTCOME_PENDING`; the task repeats the call |
//!
//! The steps around it are those of [`in_doubt`]. Payment cancels an order once, however often it is
//! asked. An attempt that never ran takes CANCELLING back only when no other attempt has joined.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    order::v1 as pb,
    payment::v1::{CancelPaymentRequest, CancelPaymentResponse, payment_service::CANCEL_PAYMENT},
};
use pg::{
    Database, Tx,
    idempotency::Reply,
    in_doubt::{self, Begun, Commands, Settled},
};
use prost::Message;
use rpc::{Failure, Peer};
use server::Incoming;

use crate::{
    domain::{ByShop, MemberId, NOTE, Order, OrderId, Wish},
    store::{self, Stored},
    wire,
};

/// Cancels orders.
#[derive(Clone)]
pub(crate) struct Cancel(Commands<Call>);

/// Asks payment to cancel an order.
pub(crate) struct Call {
    payment: Peer,
    deadline: Duration,
}

pub(crate) struct Attempt {
    order: OrderId,
    member: MemberId,
    wish: Wish,
    number: i32,
}

impl Attempt {
    fn new(number: i32, stored: &Stored) -> Self {
        let Order { id, member, wish, .. } = &stored.order;
        Self { order: *id, member: *member, wish: wish.clone(), number }
    }
}

impl Cancel {
    pub(crate) fn new(database: Database, payment: Peer, deadline: Duration) -> Self {
        Self(Commands::new(database, deadline, Call { payment, deadline }))
    }

    /// Carries out somebody's wish to cancel.
    pub(crate) async fn run(
        &self,
        incoming: Incoming<pb::CancelOrderRequest>,
    ) -> Result<Reply<pb::Order>, Error> {
        let order = OrderId::parse("orderId", &incoming.message.order_id)?;
        let note = NOTE.parse("reason", &incoming.message.reason)?;
        // Payment judges it.
        let account = incoming.message.refund_account.as_ref().map(Message::encode_to_vec);
        let actor = incoming.member()?;
        let wish = |order: &Order| {
            let by_shop =
                (order.member.0 != actor).then(|| ByShop { actor, note: note.to_owned() });
            Wish { by_shop, refund_account: account.clone() }
        };
        self.wish(&incoming, order, wish).await
    }

    /// Cancels an order, as a request wishes that may touch it.
    pub(crate) async fn wish<T: Message>(
        &self,
        incoming: &Incoming<T>,
        order: OrderId,
        wish: impl Fn(&Order) -> Wish,
    ) -> Result<Reply<pb::Order>, Error> {
        let begin = async |tx: &mut Tx| {
            let (number, stored) =
                store::update(tx, order, incoming.scope.owner(), |stored, order| {
                    incoming.check_etag(&wire::etag(stored))?;
                    let wish = wish(order);
                    Ok((order.begin_cancel(wish)?, Vec::new()))
                })
                .await?;
            Ok(match number {
                Some(number) => Begun::Attempt(Attempt::new(number, &stored)),
                None => Begun::Already(wire::order(&stored)),
            })
        };
        self.0.run(&incoming.command(), order.0, begin).await
    }

    /// Takes up a cancellation whose outcome is not known yet.
    pub(crate) async fn resume(&self, order: OrderId) -> Result<(), Error> {
        let join = async |tx: &mut Tx| {
            let (number, stored) =
                store::update(tx, order, None, |_, order| Ok((order.join_cancel(), Vec::new())))
                    .await?;
            Ok(number.map(|number| Attempt::new(number, &stored)))
        };
        self.0.resume(order.0, join).await
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = "cancel-payment";
    type Attempt = Attempt;
    type Outcome = Result<CancelPaymentResponse, Failure>;
    type Answer = pb::Order;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.order.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let account = attempt.wish.refund_account.as_deref();
        let account = account.and_then(|bytes| pb::BankAccount::decode(bytes).ok());
        let request = CancelPaymentRequest {
            order_id: attempt.order.to_string(),
            member_id: attempt.member.to_string(),
            by_shop: attempt.wish.by_shop.is_some(),
            refund_account: account,
        };
        let payment = self.payment.on_behalf_of(attempt.member.0);
        payment.unary(CANCEL_PAYMENT, &request, self.deadline).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<pb::Order>, Error> {
        let (definite, stored) = store::update(tx, attempt.order, None, |_, order| {
            Ok(match &outcome {
                Ok(_) => (true, order.cancelled(&attempt.wish)),
                Err(Failure::Refused(_)) => (true, order.cancel_refused()),
                Err(Failure::NeverRan(_)) => order.cancel_never_ran(attempt.number),
                Err(Failure::Unknown(_)) => (false, Vec::new()),
            })
        })
        .await?;
        Ok(match outcome {
            Ok(_) => Settled::Done(wire::order(&stored)),
            Err(Failure::Refused(status)) => Settled::Undone(status.into()),
            Err(_) if definite => Settled::Undone(Error::unavailable(
                "PAYMENT_UNAVAILABLE",
                "payment is unavailable; the order is unchanged",
            )),
            Err(_) => Settled::InDoubt(Error::unavailable(
                "OUTCOME_PENDING",
                "the cancellation is in progress and completes by itself; read the order again, or repeat the call",
            )),
        })
    }
}
