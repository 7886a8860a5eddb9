//! Cancelling some lines of an order, and taking returned goods back: payment gives back what the pieces
//! bear, or refuses; while the outcome is not known a task asks again. See `domain::parts`.

use std::{marker::PhantomData, time::Duration};

use base::{Error, id::Uuid};
use contracts::{
    order::v1 as pb,
    payment::v1::{RefundPartRequest, payment_service::REFUND_PART},
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
    cancel::Cancel,
    domain::{
        ByShop, NOTE, Order, OrderId, Refusal, Wish,
        parts::{self, Kind, PartId},
        pieces::Bears,
    },
    store::{
        self, Stored,
        parts::{Part, PartState},
    },
    wire::{self, part::Happened},
};

/// Takes pieces of orders back.
#[derive(Clone)]
pub(crate) struct Takings {
    cancellations: Commands<Call<Cancellation>>,
    returns: Commands<Call<Return>>,
    /// What cancels everything.
    cancel: Cancel,
}

/// Asks payment to give back what pieces bear.
pub(crate) struct Call<K> {
    payment: Peer,
    deadline: Duration,
    kind: PhantomData<K>,
}

/// What is answered when pieces have been taken back, of a kind.
pub(crate) trait Taking: Send + Sync + 'static {
    const KIND: Kind;
    const TASK: &'static str;
    type Answer: Message + Default;

    fn answer(stored: &Stored, part: &Part) -> Self::Answer;
}

/// The cancellation of some lines.
pub(crate) struct Cancellation;

impl Taking for Cancellation {
    const KIND: Kind = Kind::Cancellation;
    const TASK: &'static str = "cancel-lines";
    type Answer = pb::Order;

    fn answer(stored: &Stored, _: &Part) -> pb::Order {
        wire::order(stored)
    }
}

/// A return that the shop accepts.
pub(crate) struct Return;

impl Taking for Return {
    const KIND: Kind = Kind::Return;
    const TASK: &'static str = "accept-return";
    type Answer = pb::Return;

    fn answer(stored: &Stored, part: &Part) -> pb::Return {
        wire::part::returned_of(&stored.order, part)
    }
}

/// One call to payment.
pub(crate) struct Attempt {
    order: Order,
    part: Part,
    number: i32,
}

impl Takings {
    pub(crate) fn new(
        database: &Database,
        payment: &Peer,
        deadline: Duration,
        cancel: Cancel,
    ) -> Self {
        let cancellations = Call { payment: payment.clone(), deadline, kind: PhantomData };
        let returns = Call { payment: payment.clone(), deadline, kind: PhantomData };
        Self {
            cancellations: Commands::new(database.clone(), deadline, cancellations),
            returns: Commands::new(database.clone(), deadline, returns),
            cancel,
        }
    }

    /// Cancels some lines; or the order, when that is all that is left of it.
    pub(crate) async fn cancel_lines(
        &self,
        incoming: Incoming<pb::CancelLinesRequest>,
    ) -> Result<Reply<pb::Order>, Error> {
        let message = &incoming.message;
        let order = OrderId::parse("orderId", &message.order_id)?;
        let wanted = wire::part::wanted(&message.lines)?;
        let reason = NOTE.parse("reason", &message.reason)?;
        // Payment judges it.
        let refund_account = message.refund_account.as_ref().map(Message::encode_to_vec);
        let actor = incoming.member()?;
        let mut everything = None;
        let begin = async |tx: &mut Tx| {
            let part = PartId(base::id::new());
            let (begun, stored) = store::update(tx, order, incoming.scope.owner(), |stored, it| {
                incoming.check_etag(&wire::etag(stored))?;
                let pieces = wire::part::pieces(it, &wanted)?;
                let by_shop = it.member.0 != actor;
                let begun = it.begin_cancel_lines(part, &pieces, by_shop)?;
                Ok(((begun, pieces, by_shop.then_some(actor)), Vec::new()))
            })
            .await?;
            let (begun, pieces, actor) = begun;
            let part = Part {
                id: part,
                order,
                member: stored.order.member,
                kind: Kind::Cancellation,
                state: PartState::UnderWay,
                pieces,
                reason: reason.to_owned(),
                actor,
                reject_reason: String::new(),
                refund_account: refund_account.clone(),
                bears: Vec::new(),
                create_time: stored.now,
            };
            match begun {
                parts::Begun::Everything => {
                    everything = Some(actor);
                    // Nothing was changed, and the order is cancelled as such.
                    Err(Refusal::Cancelling.into())
                }
                parts::Begun::Part(number) => {
                    store::parts::insert(tx, &part).await?;
                    Ok(Begun::Attempt(Attempt { order: stored.order, part, number }))
                }
            }
        };
        let reply = self.cancellations.run(&incoming.command(), order.0, begin).await;
        let Some(actor) = everything.filter(|_| reply.is_err()) else { return reply };
        let by_shop = actor.map(|actor| ByShop { actor, note: reason.to_owned() });
        let wish = Wish { by_shop, refund_account };
        self.cancel.wish(&incoming, order, |_| wish.clone()).await
    }

    /// Takes returned goods back.
    pub(crate) async fn accept(
        &self,
        incoming: Incoming<pb::AcceptReturnRequest>,
    ) -> Result<Reply<pb::Return>, Error> {
        let message = &incoming.message;
        let part = PartId::parse("returnId", &message.return_id)?;
        let refund_account = message.refund_account.as_ref().map(Message::encode_to_vec);
        let actor = incoming.member()?;
        let order =
            store::parts::order_of(&mut self.returns.database().read().await?, part).await?;
        let begin = async |tx: &mut Tx| {
            begin_return(tx, (order, part), actor, refund_account.as_ref()).await
        };
        self.returns.run(&incoming.command(), order.0, begin).await
    }

    /// Takes up the cancellation of lines whose outcome is not known yet.
    pub(crate) async fn resume_cancellation(&self, order: OrderId) -> Result<(), Error> {
        self.cancellations.resume(order.0, async |tx: &mut Tx| join(tx, order).await).await
    }

    /// Takes up the acceptance of a return whose outcome is not known yet.
    pub(crate) async fn resume_return(&self, order: OrderId) -> Result<(), Error> {
        self.returns.resume(order.0, async |tx: &mut Tx| join(tx, order).await).await
    }
}

async fn begin_return(
    tx: &mut Tx,
    (order, id): (OrderId, PartId),
    actor: Uuid,
    refund_account: Option<&Vec<u8>>,
) -> Result<Begun<Call<Return>>, Error> {
    let ((), stored) = store::update(tx, order, None, |_, _| Ok(((), Vec::new()))).await?;
    let mut part = store::parts::get(tx, id).await?;
    match part.state {
        PartState::Done => {
            return Ok(Begun::Already(wire::part::returned_of(&stored.order, &part)));
        }
        PartState::Rejected => return Err(Refusal::ReturnRejected.into()),
        PartState::Cancelled => return Err(Refusal::Cancelled.into()),
        PartState::Requested | PartState::UnderWay => {}
    }
    let begun =
        store::update(tx, order, None, |_, order| Ok((order.begin_return(id)?, Vec::new())));
    let (number, stored) = begun.await?;
    // What the first of several asks for counts.
    if part.state == PartState::Requested {
        part.state = PartState::UnderWay;
        part.actor = Some(actor);
        part.refund_account = refund_account.cloned();
        store::parts::save(tx, &part).await?;
    }
    Ok(Begun::Attempt(Attempt { order: stored.order, part, number }))
}

async fn join(tx: &mut Tx, order: OrderId) -> Result<Option<Attempt>, Error> {
    let joined = store::update(tx, order, None, |_, order| Ok((order.join_part(), Vec::new())));
    let (joined, stored) = joined.await?;
    let Some((part, number)) = joined else { return Ok(None) };
    let part = store::parts::get(tx, part).await?;
    Ok(Some(Attempt { order: stored.order, part, number }))
}

impl<K: Taking> in_doubt::Call for Call<K> {
    const TASK: &'static str = K::TASK;
    type Attempt = Attempt;
    /// Whether nothing had been paid yet.
    type Outcome = Result<bool, Failure>;
    type Answer = K::Answer;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.order.id.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let Attempt { order, part, .. } = attempt;
        let sum = order.bear(&part.pieces).into_iter().fold(Bears::default(), Bears::plus);
        let account = part.refund_account.as_deref();
        let request = RefundPartRequest {
            order_id: order.id.to_string(),
            member_id: order.member.to_string(),
            part_id: part.id.to_string(),
            by_shop: part.actor.is_some(),
            amount: Some(wire::won(sum.payable)),
            wallet_amount: wire::unless_zero(sum.wallet),
            lines: wire::part::lines(order, part),
            refund_account: account.and_then(|bytes| pb::BankAccount::decode(bytes).ok()),
        };
        let payment = self.payment.on_behalf_of(order.member.0);
        Ok(payment.unary(REFUND_PART, &request, self.deadline).await?.unpaid)
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<K::Answer>, Error> {
        let mut part = attempt.part.clone();
        let settled = store::update_telling(tx, attempt.order.id, None, |_, order| {
            if order.parts.under_way != Some(part.id) {
                return Ok((End::Before, Vec::new(), Vec::new()));
            }
            Ok(match &outcome {
                Ok(unpaid) => {
                    part.bears = order.bear(&part.pieces);
                    let happened = match K::KIND {
                        Kind::Cancellation => Happened::Cancelled { unpaid: *unpaid },
                        Kind::Return => Happened::Accepted,
                    };
                    let event = wire::part::event(order, &part, happened);
                    let milestones = order.part_done(K::KIND, &part.pieces);
                    (End::Done, vec![event], milestones)
                }
                Err(Failure::Unknown(_)) => (End::Open, Vec::new(), Vec::new()),
                Err(Failure::NeverRan(_)) if !order.parts_alone(attempt.number) => {
                    (End::Open, Vec::new(), Vec::new())
                }
                Err(Failure::NeverRan(_) | Failure::Refused(_)) => {
                    (End::Undone, Vec::new(), order.part_undone(K::KIND, &part.pieces))
                }
            })
        });
        let (end, stored) = settled.await?;
        match end {
            End::Done => {
                part.state = PartState::Done;
                store::parts::save(tx, &part).await?;
                return Ok(Settled::Done(K::answer(&stored, &part)));
            }
            // Another attempt has settled it.
            End::Before => return before::<K>(tx, &stored, &part).await,
            End::Undone if K::KIND == Kind::Return => {
                (part.state, part.actor, part.refund_account) = (PartState::Requested, None, None);
                store::parts::save(tx, &part).await?;
            }
            End::Undone => store::parts::remove(tx, part.id).await?,
            End::Open => return Ok(Settled::InDoubt(pending())),
        }
        Ok(Settled::Undone(match outcome {
            Err(Failure::Refused(status)) => status.into(),
            _ => unavailable(),
        }))
    }
}

/// How an attempt ends.
enum End {
    Done,
    Undone,
    Open,
    Before,
}

/// What another attempt has made of it counts.
async fn before<K: Taking>(
    tx: &mut Tx,
    stored: &Stored,
    part: &Part,
) -> Result<Settled<K::Answer>, Error> {
    match store::parts::get(tx, part.id).await {
        Ok(part) if part.state == PartState::Done => Ok(Settled::Done(K::answer(stored, &part))),
        _ => Ok(Settled::Undone(unavailable())),
    }
}

fn pending() -> Error {
    let detail =
        "it is in progress and completes by itself; read the order again, or repeat the call";
    Error::unavailable("OUTCOME_PENDING", detail)
}

fn unavailable() -> Error {
    Error::unavailable("PAYMENT_UNAVAILABLE", "payment is unavailable; the order is unchanged")
}
