//! Placing an order that nobody may see before something else has happened: its
//! coupon is redeemed, its points are spent, its card is charged. One that cannot be
//! paid is never seen.
//!
//! | calls to coupon, mileage and payment | then |
//! |---|---|
//! | all succeeded | PLACED, and PAID by card |
//! | the first was refused | the order is gone, 409 |
//! | the first provably never ran | the order is gone, 503 |
//! | a later one was refused | ABORTING, committed; the others are undone, then 409; should that fail the task does it |
//! | a later one never ran | ABORTING, committed before the 503; the task undoes the others |
//! | one is unknown | ABORTING, committed before the 503; the task undoes them all |
//!
//! The steps around them are those of [`in_doubt`]. No card token is stored, so the task cannot repeat
//! the calls: it aborts what is still PENDING. Aborting leaves a tombstone with each that was called, so a
//! late approval can never make an order. The idempotency key is given back unless the order is placed:
//! the same command may come again, and is then another order. Until the first one's coupon, points and
//! money are back, that is refused them with 503 `CHECKOUT_PENDING`: nobody else has them.
//!
//! Who comes with the same key meanwhile goes through the same steps with the same order, and each call
//! takes effect once; the first of them to settle it answers for all.

use std::{sync::OnceLock, time::Duration};

use base::{Error, Money, error::Kind, id::Uuid};
use contracts::{
    coupon::v1::{
        RedeemCouponRequest, ReleaseCouponRequest,
        coupon_service::{REDEEM_COUPON, RELEASE_COUPON},
    },
    mileage::v1::{
        ReleasePointsRequest, SpendPointsRequest,
        mileage_service::{RELEASE_POINTS, SPEND_POINTS},
    },
    order::v1 as pb,
    payment::v1::{
        AuthorizeRequest, CancelPaymentRequest,
        payment_service::{AUTHORIZE, CANCEL_PAYMENT},
    },
};
use pg::{
    Database, Tx,
    idempotency::{self, Command, Reply},
    in_doubt::{self, Begun, Call as _, Commands, Settled},
    task::{self, Due},
};
use rpc::{Failure, Peer};
use tonic::Status;

use crate::{
    address::{self, Destination},
    depositor,
    domain::{Method, Order, OrderId, State, checkout::Checkout},
    store, wire,
};

/// Places orders that something has to be reserved for, or charged.
#[derive(Clone)]
pub(crate) struct Checkouts {
    commands: Commands<Call>,
    peers: Peers,
}

/// Those who reserve and charge.
#[derive(Clone)]
pub(crate) struct Peers {
    pub(crate) coupon: Peer,
    pub(crate) mileage: Peer,
    pub(crate) payment: Peer,
    /// Of each call.
    pub(crate) deadline: Duration,
}

/// Redeems, spends and charges.
pub(crate) struct Call(Peers);

/// What is known of an order and kept elsewhere.
pub(crate) struct Besides {
    pub(crate) card_token: String,
    pub(crate) depositor: String,
    pub(crate) destination: Option<Destination>,
}

pub(crate) struct Attempt {
    order: Order,
    besides: Besides,
    number: i32,
    /// When it began, another order that its member had given up had not given all back yet.
    after_another: bool,
}

/// What the calls came to.
pub(crate) struct Paid {
    checkout: Checkout,
    /// Of a card.
    payment: Option<Uuid>,
}

/// A call that did not succeed.
pub(crate) struct Failed {
    failure: Failure,
    /// Who was called.
    peer: &'static str,
    /// Others had been called before, and have to be undone.
    late: bool,
}

impl Checkouts {
    pub(crate) fn new(database: Database, peers: Peers) -> Self {
        // Should the calls together take longer, the task undoes what they are about to do: then no order.
        let deadline = peers.deadline;
        Self { commands: Commands::new(database, deadline, Call(peers.clone())), peers }
    }

    /// Places a PENDING order, or leaves nothing of it. `order.id` is a fresh one; a repeated
    /// command goes on under its own.
    pub(crate) async fn place(
        &self,
        order: Order,
        besides: Besides,
        command: &Command,
    ) -> Result<Reply<pb::Order>, Error> {
        let id = order.id.0;
        // A repeated command goes on with an earlier order.
        let begun_as = OnceLock::new();
        let begin = async |tx: &mut Tx, id| {
            let id = OrderId(id);
            let _ = begun_as.set(id);
            let begun = async {
                store::insert(tx, Order { id, ..order }).await?;
                store::update(tx, id, None, |_, order| Ok((order.begin_place()?, Vec::new()))).await
            };
            let (number, stored) = begun.await.map_err(|error| match error.kind() {
                // Another attempt has given up since its key was looked at; it has removed the order, or
                // the task has yet to undo it.
                Kind::Conflict | Kind::NotFound => unavailable("PAYMENT"),
                _ => error,
            })?;
            if !idempotency::is_reserved(tx, command, id.0).await? {
                // Another attempt has given up since, and took the order with it. Placed now it would
                // have no key, and whoever comes with that again would get a second one.
                return Err(unavailable("PAYMENT"));
            }
            let order = stored.order;
            let after_another = (order.checkout.reserves() || order.checkout.wallet > 0)
                && store::gives_back(tx, order.member).await?;
            Ok(Begun::Attempt(Attempt { order, besides, number, after_another }))
        };
        let placed = self.commands.make(command, id, begin).await;
        if let Err(refused) = &placed
            && matches!(refused.kind(), Kind::Conflict | Kind::Invalid)
            && let Some(id) = begun_as.get()
            && let Err(error) = self.end_aborted(*id).await
        {
            tracing::warn!(order = %id, %error, "reservations of a refused order not released, its task will release them");
        }
        placed
    }

    /// Gives back what was reserved for an order that has been refused, before its caller hears of that:
    /// so a coupon can be redeemed again at once.
    async fn end_aborted(&self, id: OrderId) -> Result<(), Error> {
        let aborted = store::aborting(&mut self.commands.database().read().await?, id).await?;
        match aborted {
            Some(order) => self.undo(&order).await,
            None => Ok(()),
        }
    }

    /// Gives up an order that nobody has placed: what was reserved and charged for it is undone first.
    pub(crate) async fn abort(&self, id: OrderId) -> Result<(), Error> {
        let database = self.commands.database();
        let mut tx = database.begin().await?;
        let aborted = store::update(&mut tx, id, None, |_, order| {
            order.abort();
            Ok((order.state(), Vec::new()))
        });
        let order = match aborted.await {
            Ok((State::Aborting, stored)) => stored.order,
            // Placed after all, just now: what is paid stays paid.
            Ok(_) => return Ok(()),
            // Its caller has removed it just now.
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        tx.commit().await?;
        self.undo(&order).await
    }

    /// Undoes an order that is ABORTING, which is committed: nobody can place it any more.
    async fn undo(&self, order: &Order) -> Result<(), Error> {
        self.peers.undo(order).await?;
        let mut tx = self.commands.database().begin().await?;
        // The order before its keys, as everybody locks them.
        store::remove_pending(&mut tx, order.id).await?;
        // Whoever asks again with the same key asks for another order.
        idempotency::release_unanswered(&mut tx, order.id.0).await?;
        tx.commit().await
    }
}

impl Peers {
    /// What the coupon takes off.
    async fn redeem(&self, order: &Order, coupon: Uuid) -> Result<Money, Failure> {
        let request = RedeemCouponRequest {
            coupon_id: coupon.to_string(),
            order_id: order.id.to_string(),
            member_id: order.member.to_string(),
            goods_total: Some(order.total.to_wire().into()),
        };
        let peer = self.coupon.on_behalf_of(order.member.0);
        let redeemed = peer.unary(REDEEM_COUPON, &request, self.deadline).await?;
        let discount = redeemed.discount.as_ref().map(contracts::Money::parts);
        Money::parse("discount", discount).map_err(|error| Failure::Unknown(error.into()))
    }

    async fn spend(&self, order: &Order, points: i64) -> Result<(), Failure> {
        let request = SpendPointsRequest {
            order_id: order.id.to_string(),
            member_id: order.member.to_string(),
            points,
        };
        let peer = self.mileage.on_behalf_of(order.member.0);
        peer.unary(SPEND_POINTS, &request, self.deadline).await.map(drop)
    }

    /// The payment of what is left to pay.
    async fn charge(
        &self,
        order: &Order,
        checkout: &Checkout,
        card_token: &str,
    ) -> Result<Uuid, Failure> {
        let request = AuthorizeRequest {
            order_id: order.id.to_string(),
            member_id: order.member.to_string(),
            amount: Some(checkout.amount(order.total).to_wire().into()),
            wallet_amount: wire::unless_zero(checkout.wallet),
            card_token: card_token.to_owned(),
        };
        let peer = self.payment.on_behalf_of(order.member.0);
        let payment = peer.unary(AUTHORIZE, &request, self.deadline).await?;
        base::id::parse("id", &payment.id).map_err(|error| Failure::Unknown(error.into()))
    }

    /// Takes back whatever was reserved or charged for an order. Each does so once, and refuses what
    /// comes later.
    async fn undo(&self, order: &Order) -> Result<(), Error> {
        let (order_id, member_id) = (order.id.to_string(), order.member.to_string());
        let member = order.member.0;
        if order.method == Method::Card {
            let request = CancelPaymentRequest {
                order_id: order_id.clone(),
                member_id: member_id.clone(),
                ..CancelPaymentRequest::default()
            };
            let peer = self.payment.on_behalf_of(member);
            peer.unary(CANCEL_PAYMENT, &request, self.deadline).await?;
        }
        if order.checkout.points > 0 {
            let request =
                ReleasePointsRequest { order_id: order_id.clone(), member_id: member_id.clone() };
            let peer = self.mileage.on_behalf_of(member);
            peer.unary(RELEASE_POINTS, &request, self.deadline).await?;
        }
        if order.checkout.coupon.is_some() {
            let request = ReleaseCouponRequest { order_id, member_id };
            let peer = self.coupon.on_behalf_of(member);
            peer.unary(RELEASE_COUPON, &request, self.deadline).await?;
        }
        Ok(())
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = "abort-card-order";
    type Attempt = Attempt;
    type Outcome = Result<Paid, Failed>;
    type Answer = pb::Order;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.order.id.0
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        let (Self(peers), Attempt { order, besides, .. }) = (self, attempt);
        let mut late = false;
        let failed = |peer, late| move |failure| Failed { failure, peer, late };
        let checkout = order.checkout.clone();
        let mut discount = Money::ZERO;
        if let Some(coupon) = checkout.coupon {
            discount = peers.redeem(order, coupon).await.map_err(failed("COUPON", late))?;
            late = true;
        }
        let checkout = checkout.with_discount(discount, &order.lines);
        let checkout = checkout
            .map_err(|error| Failure::Refused(Status::from(error)))
            .map_err(failed("COUPON", late))?;
        if checkout.points > 0 {
            let spent = peers.spend(order, checkout.points).await;
            spent.map_err(failed("MILEAGE", late))?;
            late = true;
        }
        let payment = if order.method == Method::Card {
            let charged = peers.charge(order, &checkout, &besides.card_token).await;
            Some(charged.map_err(failed("PAYMENT", late))?)
        } else {
            None
        };
        Ok(Paid { checkout, payment })
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<pb::Order>, Error> {
        match outcome {
            Ok(paid) => placed(tx, attempt, &paid).await,
            Err(failed) => given_up(tx, attempt, failed).await,
        }
    }
}

async fn placed(tx: &mut Tx, attempt: &Attempt, paid: &Paid) -> Result<Settled<pb::Order>, Error> {
    let id = attempt.order.id;
    let placed = store::update(tx, id, None, |_, order| {
        Ok(((), order.place(paid.checkout.clone(), paid.payment)?))
    });
    match placed.await {
        Ok(((), stored)) => {
            let Besides { depositor, destination, .. } = &attempt.besides;
            if !depositor.is_empty() {
                depositor::declare(tx, id, depositor).await?;
            }
            if let Some(destination) = destination {
                address::declare(tx, id, destination).await?;
            }
            Ok(Settled::Done(wire::order(&stored)))
        }
        // Given up meanwhile: what was done for it is undone, or is going to be.
        Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {
            Ok(Settled::InDoubt(unavailable("PAYMENT")))
        }
        Err(error) => Err(error),
    }
}

async fn given_up(
    tx: &mut Tx,
    attempt: &Attempt,
    failed: Failed,
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
    // What provably did nothing, or was refused for good, leaves nothing to undo.
    let nothing = match failed.failure {
        Failure::Refused(_) => !failed.late,
        Failure::NeverRan(_) => !failed.late && alone,
        Failure::Unknown(_) => false,
    };
    if !nothing && !matches!(failed.failure, Failure::Unknown(_)) {
        // No call is under way any more: what was reserved is given back at once.
        task::schedule(tx, Call::TASK, id.0, Due::After(Duration::ZERO), &[]).await?;
    }
    let error = answer_to(failed, attempt.after_another);
    if !nothing {
        return Ok(Settled::GivenUp(error));
    }
    store::remove_pending(tx, id).await?;
    Ok(Settled::Undone(error))
}

/// What is refused because somebody has it already, who may be giving it back.
const TAKEN: [&str; 3] = ["COUPON_REDEEMED", "INSUFFICIENT_POINTS", "INSUFFICIENT_BALANCE"];

/// What the caller is answered when a call failed. An order that was given up meanwhile is refused as
/// cancelled: the same command may be sent again. So may one that lacks what another order is giving back:
/// that one's caller was told to try again, and nobody else has it.
fn answer_to(failed: Failed, after_another: bool) -> Error {
    match failed.failure {
        Failure::Refused(status) => {
            let refusal = Error::from(status);
            match refusal.reason() {
                "ORDER_CANCELLED" => unavailable(failed.peer),
                reason if after_another && TAKEN.contains(&reason) => Error::unavailable(
                    "CHECKOUT_PENDING",
                    "an abandoned order is still returning its coupon, points and balance; repeat the call",
                ),
                _ => refusal,
            }
        }
        Failure::NeverRan(_) | Failure::Unknown(_) => unavailable(failed.peer),
    }
}

fn unavailable(peer: &'static str) -> Error {
    let (reason, who) = match peer {
        "COUPON" => ("COUPON_UNAVAILABLE", "coupon"),
        "MILEAGE" => ("MILEAGE_UNAVAILABLE", "mileage"),
        _ => ("PAYMENT_UNAVAILABLE", "payment"),
    };
    let detail = format!("{who} is unavailable; no order was placed, and nothing was charged");
    Error::unavailable(reason, detail)
}
