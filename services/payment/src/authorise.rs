//! Charging a card for an order that is about to be placed.
//!
//! | call to the acquirer | then |
//! |---|---|
//! | charged | DONE, and its event; mileage is told, which else hears of it from that |
//! | declined | DECLINED, 409; looked up soon, and once more later |
//! | unknown | AUTHORISING stays, 503; the order cancels, the task looks it up, and what was charged is refunded |
//!
//! The steps around it are those of [`in_doubt`]. No card token is stored, so the task cannot repeat the
//! call: it undoes it. When the order was cancelled meanwhile, a charge is voided instead of approved.

use std::time::Duration;

use base::{Error, Money, id::Uuid};
use contracts::payment::v1::{AuthorizeRequest, Payment as Wire};
use pg::{
    Database, Tx,
    idempotency::Reply,
    in_doubt::{self, Begun, Commands, Settled},
};
use server::Incoming;

use crate::{
    acquirer::{Acquirer, Charge, Charged},
    domain::{ABANDONED, AMOUNT, Authorise as Next, CARD_TOKEN, MemberId, OrderId, Refusal, State},
    mileage::Mileage,
    store,
    tasks::{self, Look},
    wire,
};

/// Charges cards.
#[derive(Clone)]
pub(crate) struct Authorise {
    commands: Commands<Call>,
    acquirer: Acquirer,
    settle_after: Duration,
    mileage: Mileage,
}

/// Asks the acquirer to charge a card.
pub(crate) struct Call {
    acquirer: Acquirer,
}

pub(crate) struct Attempt {
    member: MemberId,
    charge: Charge,
}

impl Authorise {
    /// `deadline` is that of a call to the acquirer; so long after it, its no is final.
    pub(crate) fn new(
        database: Database,
        acquirer: Acquirer,
        mileage: Mileage,
        deadline: Duration,
        settle_after: Duration,
    ) -> Self {
        let call = Call { acquirer: acquirer.clone() };
        Self { commands: Commands::new(database, deadline, call), acquirer, settle_after, mileage }
    }

    /// Charges the member's card, or says why not.
    pub(crate) async fn run(
        &self,
        member: MemberId,
        incoming: Incoming<AuthorizeRequest>,
    ) -> Result<Reply<Wire>, Error> {
        let message = &incoming.message;
        let order = OrderId::parse("orderId", &message.order_id)?;
        let amount = message.amount.as_ref().map(contracts::Money::parts);
        let total = Money::parse_within("amount", amount, &AMOUNT)?;
        let wallet = message.wallet_amount.as_ref().map(contracts::Money::parts);
        let wallet = wallet
            .map(|parts| Money::parse_within("walletAmount", Some(parts), &(0..=total.minor())));
        let wallet = wallet.transpose()?.unwrap_or(Money::ZERO);
        let amount = Money::krw(total.minor().saturating_sub(wallet.minor()));
        let token = CARD_TOKEN.parse("cardToken", &message.card_token)?.to_owned();
        let begin = async |tx: &mut Tx| {
            let (next, stored) = store::update(tx, order, member, |payment, wallets| {
                Ok(payment.authorise(amount, wallet, wallets)?)
            })
            .await?;
            let payment = stored.payment.id;
            Ok(match next {
                Next::Charged => Begun::Already(wire::payment(&stored, &[])),
                Next::Ask => {
                    let charge = Charge { key: payment.0, order: order.0, amount, token };
                    Begun::Attempt(Attempt { member, charge })
                }
            })
        };
        let reply = self.commands.run(&incoming.command(), order.0, begin).await?;
        if reply.is_fresh() {
            self.mileage.earn(member, reply.message()).await;
        }
        Ok(reply)
    }

    /// Has a charge forgotten whose outcome nobody waits for any more. That is committed before the
    /// acquirer is asked, so that no attempt takes a charge for good that is about to be refunded.
    pub(crate) async fn abandon(&self, order: OrderId) -> Result<(), Error> {
        let database = self.commands.database();
        let Some(member) = store::member_of(&mut database.read().await?, order).await? else {
            return Ok(());
        };
        let mut tx = database.begin().await?;
        let abandoned =
            store::update(&mut tx, order, member, |payment, _| Ok((payment.abandon(), Vec::new())));
        let (abandoned, _) = abandoned.await?;
        tx.commit().await?;
        if !abandoned {
            return Ok(());
        }
        self.look_up(order, true).await
    }

    /// Asks the acquirer what became of a charge that counts as not made, and has it refunded when it
    /// was made after all. The first look is followed by another.
    pub(crate) async fn look_up(&self, order: OrderId, first: bool) -> Result<(), Error> {
        let found = self.acquirer.look_up(order.0).await?;
        let database = self.commands.database();
        let Some(member) = store::member_of(&mut database.read().await?, order).await? else {
            return Ok(());
        };
        let mut tx = database.begin().await?;
        store::update(&mut tx, order, member, |payment, wallets| {
            let outcomes = match &found {
                Some(reference) => payment.charged(reference, wallets),
                None => payment.not_charged(ABANDONED, wallets),
            };
            Ok(((), outcomes))
        })
        .await?;
        if first && found.is_none() && self.acquirer.may_change_its_mind() {
            tasks::look_up(&mut tx, order, Look::Last(self.settle_after)).await?;
        }
        tx.commit().await
    }
}

impl in_doubt::Call for Call {
    const TASK: &'static str = tasks::ABANDON;
    const KEYED: bool = false;
    type Attempt = Attempt;
    type Outcome = Result<Charged, Error>;
    type Answer = Wire;

    fn about(attempt: &Attempt) -> Uuid {
        attempt.charge.order
    }

    async fn call(&self, attempt: &Attempt) -> Self::Outcome {
        self.acquirer.charge(&attempt.charge).await
    }

    async fn settle(
        &self,
        tx: &mut Tx,
        attempt: &Attempt,
        outcome: Self::Outcome,
    ) -> Result<Settled<Wire>, Error> {
        let charged = match outcome {
            Ok(charged) => charged,
            Err(error) => return Ok(Settled::InDoubt(error)),
        };
        let settled =
            store::update(tx, OrderId(attempt.charge.order), attempt.member, |payment, wallets| {
                let outcomes = match &charged {
                    Charged::Yes(reference) => payment.charged(reference, wallets),
                    Charged::Declined => payment.not_charged("CARD_DECLINED", wallets),
                };
                Ok(((), outcomes))
            });
        let ((), stored) = settled.await?;
        if charged == Charged::Declined && self.acquirer.may_change_its_mind() {
            tasks::look_up(tx, stored.payment.order, Look::First).await?;
        }
        Ok(match stored.payment.state {
            State::Done => Settled::Done(wire::payment(&stored, &[])),
            State::Declined => Settled::Undone(Refusal::CardDeclined.into()),
            _ => Settled::Undone(Refusal::OrderCancelled.into()),
        })
    }
}
