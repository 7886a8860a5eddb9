//! Dispatching a delivery: the seller says that a carrier has the parcel, and order decides, since its
//! member may have cancelled it.
//!
//! | call to order | then |
//! |---|---|
//! | succeeded | DISPATCHED; the member cannot cancel any more |
//! | provably never ran | the delivery is as it was, 503 |
//! | refused | the delivery is as it was, 409 |
//! | unknown | the parcel stays noted, 503 `OUTCOME_PENDING`; the task repeats the call |
//!
//! The steps around it are those of [`in_doubt`]. Order notes a dispatch once, however often it is told. An
//! attempt that never ran takes the parcel back only when no other attempt has joined.

use std::time::Duration;

use base::{Error, id::Uuid};
use contracts::{
    delivery::v1::{self as pb, DispatchDeliveryRequest},
    order::v1::{RecordDispatchRequest, RecordDispatchResponse, order_service::RECORD_DISPATCH},
};
use pg::{
    Database, Tx,
    idempotency::Reply,
    in_doubt::{self, Begun, Commands, Settled},
};
use rpc::{Failure, Peer};
use server::Incoming;

use crate::{
    domain::{DeliveryId, MemberId, OrderId, Parcel},
    store::{self, Delivery},
    wire,
};

/// Dispatches deliveries.
#[derive(Clone)]
pub(crate) struct Dispatch(Commands<Call>);

/// Tells order of a dispatch.
pub(crate) struct Call {
    order: Peer,
    deadline: Duration,
}

pub(crate) struct Attempt {
    delivery: DeliveryId,
    order: OrderId,
    member: MemberId,
    parcel: Parcel,
    number: i32,
}

impl Attempt {
    fn new(delivery: &Delivery, parcel: Parcel, number: i32) -> Self {
        let Delivery { id, order, member, .. } = *delivery;
        Self { delivery: id, order, member, parcel, number }
    }
}

impl Dispatch {
    pub(crate) fn new(database: Database, order: Peer, deadline: Duration) -> Self {
        Self(Commands::new(database, deadline, Call { order, deadline }))
    }

    /// Carries out what a seller says.
    pub(crate) async fn run(
        &self,
        incoming: Incoming<DispatchDeliveryRequest>,
    ) -> Result<Reply<pb::Delivery>, Error> {
        let message = &incoming.message;
        let id = DeliveryId::parse("deliveryId", &message.delivery_id)?;
        let parcel = Parcel::parse(&message.carrier, &message.tracking_number)?;
        let begin = async |tx: &mut Tx| {
            let (number, delivery) = store::update(tx, id, |delivery| {
                incoming.check_etag(&wire::etag(delivery))?;
                Ok(delivery.progress.begin_dispatch(&parcel)?)
            })
            .await?;
            Ok(match number {
                Some(number) => Begun::Attempt(Attempt::new(&delivery, parcel.clone(), number)),
                None => Begun::Already(wire::delivery(&delivery)?),
            })
        };
        self.0.run(&incoming.command(), id.0, begin).await
    }

    /// Takes up a dispatch whose outcome is not known yet.
    pub(crate) async fn resume(&self, id: DeliveryId) -> Result<(), Error> {
        let join = async |tx: &mut Tx| {
            let (joined, delivery) =
                store::update(tx, id, |delivery| Ok(delivery.progress.join_dispatch())).await?;
            Ok(joined.map(|(parcel, number)| Attempt::new(&delivery, parcel, number)))
        };
        self.0.resume(id.0, join).await
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = "dispatch-delivery";
    type Attempt = Attempt;
    type Outcome = Result<RecordDispatchResponse, Failure>;
    type Answer = pb::Delivery;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.delivery.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let request = RecordDispatchRequest {
            order_id: attempt.order.to_string(),
            member_id: attempt.member.to_string(),
        };
        let order = self.order.on_behalf_of(attempt.member.0);
        order.unary(RECORD_DISPATCH, &request, self.deadline).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<pb::Delivery>, Error> {
        let now = pg::clock::now(tx).await?;
        let (settled, delivery) = store::update(tx, attempt.delivery, |delivery| {
            let progress = &mut delivery.progress;
            Ok(match &outcome {
                Ok(_) => match progress.dispatched(&attempt.parcel) {
                    Ok(_) => {
                        delivery.dispatch_time.get_or_insert(now);
                        Ok(true)
                    }
                    // It has ended since: that counts.
                    Err(refusal) => Err(refusal),
                },
                Err(Failure::Refused(_)) => {
                    progress.dispatch_refused();
                    Ok(true)
                }
                Err(Failure::NeverRan(_)) => Ok(progress.dispatch_never_ran(attempt.number)),
                Err(Failure::Unknown(_)) => Ok(false),
            })
        })
        .await?;
        let definite = match settled {
            Ok(definite) => definite,
            Err(refusal) => return Ok(Settled::Undone(refusal.into())),
        };
        Ok(match outcome {
            Ok(_) => Settled::Done(wire::delivery(&delivery)?),
            Err(Failure::Refused(status)) => Settled::Undone(status.into()),
            Err(_) if definite => Settled::Undone(Error::unavailable(
                "ORDER_UNAVAILABLE",
                "order is unavailable; the delivery is unchanged",
            )),
            Err(_) => Settled::InDoubt(Error::unavailable(
                "OUTCOME_PENDING",
                "the dispatch is in progress and completes by itself; read the delivery again, or repeat the call",
            )),
        })
    }
}
